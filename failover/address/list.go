// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The bounds of a list of addresses from elsewhere, and of all addresses that
// such lists may add to one pool.
const (
	MaxListSize      = 64 << 10 // bytes
	MaxListAddresses = 1000
)

// ErrEmptyList says that a list names no address. It is ignored, as one that is
// broken: nobody can take a pool its addresses by saying nothing.
var ErrEmptyList = errors.New("the list has no address")

// ParseList reads a list of addresses that was made at run time: one address in
// a line, or several with commas between them; blanks around them do not count.
// All have the pool's scheme; one without a scheme, HOST:PORT, gets it. Of equal
// addresses the first counts.
//
// A list is taken as a whole or not at all: one address that cannot be read, or
// has another scheme, spoils it.
func ParseList(text []byte, scheme string) ([]URI, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	switch {
	case len(text) > MaxListSize:
		return nil, fmt.Errorf("the list is longer than %d bytes", MaxListSize)
	case len(text) == 0:
		return nil, ErrEmptyList
	case !utf8.Valid(text):
		return nil, errors.New("the list is not text")
	case text[0] == '<':
		return nil, errors.New("it is HTML or XML, not a list of addresses")
	}
	var list []URI
	seen := make(map[string]bool)
	for entry := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		entry = strings.Trim(entry, " \t")
		if entry == "" {
			continue
		}
		u, err := parseMember(entry)
		if err != nil {
			return nil, fmt.Errorf("address %s of the list: %w", Quote(entry), err)
		}
		if u.Scheme == "" {
			u.Scheme = scheme
		}
		if u.Scheme != scheme && u.Scheme != SchemeUnix && scheme != SchemeUnix {
			return nil, fmt.Errorf("address %s of the list: the pool's addresses begin with %s://", u.Name(), scheme)
		}
		if key := u.Key(); !seen[key] {
			seen[key] = true
			list = append(list, u)
		}
		if len(list) > MaxListAddresses {
			return nil, fmt.Errorf("the list has more than %d addresses", MaxListAddresses)
		}
	}
	if len(list) == 0 {
		return nil, ErrEmptyList
	}
	return list, nil
}
