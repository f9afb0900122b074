// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// mask replaces secrets by numbers: the same secret has the same number, so that it can be
// seen that one has changed, and nothing else of it.
type mask struct {
	known map[string]int
}

var (
	// secretName matches the names of members whose values may be secrets, however deep. Of
	// what begins with auth, authentication and authorities are none: they have modes and
	// names.
	secretName = regexp.MustCompile(`(?i)(pass|secret|token|key|credential|auth($|[^eo]|orization)|cookie|hmac|salt|private|hash|dsn|account)`)
	// valuesName matches the names of members that have values by name, each of which may
	// be a secret: variables, header fields, parameters of a query.
	valuesName = regexp.MustCompile(`(?i)^(env|(request_)?headers?|header_regexp|val)$`)
	// operationName matches what is done to header fields, if it has them by name.
	operationName = regexp.MustCompile(`(?i)^(set|add|replace)$`)
	// userInfo matches the password in an address. One that is not escaped may have all but
	// blanks, so that it goes on to the last @.
	userInfo = regexp.MustCompile(`(://[^/?#:\s]*:)(\S+)(@)`)
	// parameter matches one with its value in a query.
	parameter = regexp.MustCompile(`([?&][^?&=#\s]+=)([^&#\s]+)()`)
	// address matches a text that may be a URI, or a reference to one.
	address = regexp.MustCompile(`^[^\s<>"]+$`)
)

// value is a decoded JSON value without secrets; within one that has a secret's name, every
// text and number is one.
func (m *mask) value(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) { // so that the numbers do not change
			out[name] = m.value(v[name], secret || holds(name, v[name]))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = m.value(value, secret)
		}
		return out
	case string:
		if secret && v != "" {
			return m.number(v)
		}
		text := m.parts(userInfo, v)
		if address.MatchString(v) {
			text = m.parts(parameter, text)
		}
		return text
	case float64:
		if secret {
			return m.number(fmt.Sprint(v))
		}
	}
	return v
}

// holds reports whether a member may hold secrets.
func holds(name string, v any) bool {
	fields, named := v.(map[string]any)
	switch {
	case secretName.MatchString(name):
		return true
	case operationName.MatchString(name):
		return named
	case !valuesName.MatchString(name):
		return false
	}
	for _, side := range []string{"request", "response"} {
		if _, ok := fields[side].(map[string]any); ok {
			return false // operations, of which only the values are secrets
		}
	}
	return true
}

// parts is a text in which the second group of each match is a number.
func (m *mask) parts(of *regexp.Regexp, text string) string {
	return of.ReplaceAllStringFunc(text, func(found string) string {
		part := of.FindStringSubmatch(found)
		return part[1] + m.number(part[2]) + part[3]
	})
}

func (m *mask) number(secret string) string {
	if m.known == nil {
		m.known = make(map[string]int)
	}
	n, ok := m.known[secret]
	if !ok {
		n = len(m.known) + 1
		m.known[secret] = n
	}
	return fmt.Sprintf("(secret %d)", n)
}
