// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// composite is what stands behind the scheme of a failover address.
type composite struct {
	uris  []string
	query string // of the pool
}

// splitComposite divides "(a,b)?query" or "a,b". Parentheses are looked at in
// all of it, the query included.
func splitComposite(s string) (composite, error) {
	end, err := matchParens(s)
	if err != nil {
		return composite{}, err
	}
	if s == "" {
		return composite{}, errors.New("it lists no address: expecting failover:(http://HOST:PORT,...); failover:() says that the addresses come from elsewhere")
	}
	if !strings.HasPrefix(s, "(") {
		uris, err := splitList(s)
		return composite{uris: uris}, err
	}
	list, tail := s[1:end], s[end+1:]
	query, hasQuery := strings.CutPrefix(tail, "?")
	switch {
	case tail == "", hasQuery:
	case tail[0] == '&':
		return composite{}, errors.New("the options do not begin with a question mark: write (...)?option=value&option=value")
	default:
		return composite{}, fmt.Errorf("%s follows the list of addresses: only ? and options may; all addresses go into one pair of parentheses", Quote(tail))
	}
	if list == "" {
		return composite{query: query}, nil
	}
	uris, err := splitList(list)
	return composite{uris: uris, query: query}, err
}

// matchParens checks that all parentheses pair up and returns the end of the
// pair that opens first.
func matchParens(s string) (end int, err error) {
	depth, end := 0, -1
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 && end < 0 {
				end = i
			}
		}
		if depth < 0 {
			break
		}
	}
	switch {
	case depth > 0:
		return end, fmt.Errorf("a parenthesis is not closed in %s; write %%28 for one in a value", Quote(s))
	case depth < 0:
		return end, fmt.Errorf("a parenthesis is closed that was not opened in %s; write %%29 for one in a value", Quote(s))
	}
	return end, nil
}

// splitList splits at commas. A parenthesis in it is a list within the list,
// which has no meaning for HTTP backends.
func splitList(s string) ([]string, error) {
	if before, _, found := strings.Cut(s, "("); found {
		inner := before[strings.LastIndexByte(before, ',')+1:]
		scheme, _, _ := strings.Cut(inner, ":")
		if way := instead[scheme]; way != "" {
			return nil, fmt.Errorf("a list within the list, %s(...): %s", inner, way)
		}
		return nil, fmt.Errorf("a parenthesis within the list, after %s: name all addresses in one list", Quote(inner))
	}
	return strings.Split(s, ","), nil
}

// pair is one option of a query, decoded.
type pair struct{ name, value string }

// splitQuery decodes a query. Every option has a name and a value.
func splitQuery(query string) ([]pair, error) {
	if query == "" {
		return nil, nil
	}
	if strings.Contains(query, "?") {
		return nil, errors.New("it has two question marks: join the options with &, and write %3F for a question mark in a value")
	}
	var pairs []pair
	for piece := range strings.SplitSeq(query, "&") {
		if piece == "" {
			return nil, errors.New("an option is empty: options are joined with one &")
		}
		name, value, _ := strings.Cut(piece, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("option %s: it has a broken percent escape; %%25 stands for a percent sign", Quote(piece))
		}
		if value == "" {
			return nil, fmt.Errorf("option %s has no value: write option=value, or leave it out for its default", Quote(name))
		}
		if !isPrintable(name + value) {
			return nil, fmt.Errorf("option %s: it has a control character or is not valid UTF-8", Quote(piece))
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

// once refuses an option that was given before, also by its other name.
func once(seen map[string]string, o *Option, name string) error {
	before, ok := seen[o.Name]
	switch {
	case !ok:
		seen[o.Name] = name
		return nil
	case before == name:
		return fmt.Errorf("option %s is given twice: remove one", name)
	default:
		return fmt.Errorf("options %s and %s are the same: remove one", before, name)
	}
}
