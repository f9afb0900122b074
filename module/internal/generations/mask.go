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
	// secretName matches the names of members whose values may be secrets, however deep.
	secretName = regexp.MustCompile(`(?i)(pass|secret|token|key|credential|authorization|cookie|hmac|salt|private|hash|dsn|account)`)
	// userInfo matches the password in an address.
	userInfo = regexp.MustCompile(`(://[^/?#@:\s]*:)([^/?#@\s]+)(@)`)
)

// value is a decoded JSON value without secrets; within one that has a secret's name, every
// text and number is one.
func (m *mask) value(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) { // so that the numbers do not change
			out[name] = m.value(v[name], secret || secretName.MatchString(name))
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
		return userInfo.ReplaceAllStringFunc(v, func(found string) string {
			part := userInfo.FindStringSubmatch(found)
			return part[1] + m.number(part[2]) + part[3]
		})
	case float64:
		if secret {
			return m.number(fmt.Sprint(v))
		}
	}
	return v
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
