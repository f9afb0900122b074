// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Address is a failover address: a list of backends and the options of their
// pool in one line.
type Address struct {
	// URIs are the backends in order, without duplicates. The list is empty for
	// "failover:()", which means that the backends come from elsewhere.
	URIs []URI
	// Options are complete; Given says which of them the address set.
	Options Options
	// Given are the names of the options that the address set, as in a Caddyfile
	// and in the table's order; those for all addresses begin with "nested.".
	Given []string
	// Warnings say what the address asks for in vain.
	Warnings []string
}

// Parse reads a failover address in one of these forms:
//
//	failover:(uri,...)?option=value&...
//	failover://(uri,...)?option=value&...
//	failover:uri,...
//	(uri,...)?ha=true&reconnectAttempts=3&...
//
// Without parentheses there are no options of the pool: a query belongs to its
// address. What the reference client would drop, retry for ever or read as
// something else than it says is an error here; the error names the part, what
// is allowed, and the way out.
func Parse(s string) (*Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("reading failover address: %w", err)
	}
	return a, nil
}

func parseAddress(s string) (*Address, error) {
	if err := checkText(s); err != nil {
		return nil, err
	}
	rest, first := strings.CutPrefix(s, "failover:")
	if !first && !strings.HasPrefix(s, "(") {
		return nil, outerSchemeError(s)
	}
	if first {
		rest = strings.TrimPrefix(rest, "//")
	}
	c, err := splitComposite(rest)
	if err != nil {
		return nil, err
	}
	a := &Address{Options: DefaultOptions()}
	if err := a.addURIs(c.uris); err != nil {
		return nil, err
	}
	pairs, err := splitQuery(c.query)
	if err != nil {
		return nil, err
	}
	spelling := addressSpelling
	if first {
		err = a.setOptions(pairs)
	} else {
		spelling = secondSpelling
		err = a.setSecondFamily(pairs)
	}
	if err != nil {
		return nil, err
	}
	if err := a.Options.complete(spelling); err != nil {
		return nil, err
	}
	return a, a.joinPriority()
}

// addURIs reads the addresses. They must agree in their scheme; of two with the
// same identity the first stays.
func (a *Address) addURIs(texts []string) error {
	known := make(map[string]bool, len(texts))
	for i, text := range texts {
		if text == "" {
			return fmt.Errorf("address %d of %d is empty: remove the comma too much, or fill in what is missing", i+1, len(texts))
		}
		u, err := parseURI(text)
		if err != nil {
			return fmt.Errorf("address %s: %w", Quote(text), err)
		}
		if len(a.URIs) > 0 && a.URIs[0].Scheme != u.Scheme {
			return SchemeMismatch(a.URIs[0], u)
		}
		if known[u.Key()] {
			a.Warnings = append(a.Warnings, u.Name()+" is listed twice; the first one counts, with its options")
			continue
		}
		known[u.Key()] = true
		a.URIs = append(a.URIs, u)
	}
	return nil
}

// SchemeMismatch returns the error of two addresses that cannot be in one pool.
func SchemeMismatch(a, b URI) error {
	return fmt.Errorf("%s and %s differ in their scheme, and a pool has one (tcp stands for http, ssl for https): use a pool for each",
		a.Name(), b.Name())
}

// setOptions reads the options of the pool and, as nested, of all addresses.
func (a *Address) setOptions(pairs []pair) error {
	seen := make(map[string]string)
	for _, p := range pairs {
		name, nested := strings.CutPrefix(p.name, "nested.")
		scope := ScopePool
		if nested {
			scope = ScopeAddress
		}
		o := lookupAddress(scope, name)
		if o == nil {
			return unknownAddressOption(scope, p.name)
		}
		if err := once(seen, o, p.name); err != nil {
			return err
		}
		if err := o.Read(&a.Options, p.value, addressUnits); err != nil {
			return fmt.Errorf("option %s: %w", p.name, err)
		}
	}
	a.setGiven(seen)
	return nil
}

// setGiven notes which options were set, in the table's order.
func (a *Address) setGiven(seen map[string]string) {
	for i := range table {
		if _, ok := seen[table[i].Name]; !ok {
			continue
		}
		name := table[i].Name
		if table[i].Scope == ScopeAddress {
			name = "nested." + name
		}
		a.Given = append(a.Given, name)
	}
}

// joinPriority appends priority addresses that are not in the list.
func (a *Address) joinPriority() error {
	scheme := ""
	if len(a.URIs) > 0 {
		scheme = a.URIs[0].Scheme
	}
	known := make(map[string]bool, len(a.URIs))
	for _, u := range a.URIs {
		known[u.Key()] = true
	}
	for _, u := range a.Options.PriorityURIs {
		switch {
		case u.Scheme == "":
			return fmt.Errorf("option priorityURIs: address %s has no scheme: write http://%s", u.Dial(), u.Dial())
		case scheme != "" && u.Scheme != scheme:
			return fmt.Errorf("option priorityURIs: %w", SchemeMismatch(a.URIs[0], u))
		case known[u.Key()] && u.Options != (URIOptions{}):
			return fmt.Errorf("option priorityURIs: %s is in the list already: give its options there", u.Name())
		case !known[u.Key()]:
			scheme = u.Scheme
			known[u.Key()] = true
			a.URIs = append(a.URIs, u)
		}
	}
	for i := range a.Options.PriorityURIs {
		a.Options.PriorityURIs[i].Options = URIOptions{} // they are in the list now
	}
	return nil
}

// String renders the address so that Parse reads the same from it. An
// address of the second family becomes one of the first.
func (a *Address) String() string {
	var b strings.Builder
	b.WriteString("failover:(")
	for i, u := range a.URIs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(u.String())
	}
	b.WriteByte(')')
	sep := byte('?')
	for _, given := range a.Given {
		name, nested := strings.CutPrefix(given, "nested.")
		b.WriteByte(sep)
		sep = '&'
		if nested {
			b.WriteString("nested.")
		}
		o := table.Lookup(name)
		b.WriteString(o.Address[0] + "=" + url.QueryEscape(addressText(o.Get(&a.Options))))
	}
	return b.String()
}

// checkText refuses what no form of address can hold, and what would be dropped.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty: expecting failover:(http://HOST:PORT,...)?option=value")
	case strings.ContainsAny(s, " \t\r\n"):
		return errors.New("it has a blank or a line end: write it in one piece; %20 stands for a blank in a value")
	case !isPrintable(s):
		return errors.New("it has a control character or is not valid UTF-8")
	case strings.Contains(s, "#"):
		return errors.New("it has a fragment (#...), which has no meaning here: remove it, or write %23 in a value")
	}
	return nil
}
