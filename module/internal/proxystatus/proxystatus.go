// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxystatus

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultName names this proxy in Proxy-Status when the handler has no
// proxy_status_name.
const DefaultName = "caddy-broker"

// InDoubt is the detail of an error that ends an unsafe request of which a byte
// was written: it may have been executed.
const InDoubt = "in-doubt"

// Fault is what went wrong with an attempt, in the terms of RFC 9209.
type Fault struct {
	// Error is the error type of Proxy-Status.
	Error string
	// Status is the answer when nothing is left to try.
	Status int
	// Incurable faults do not go away by waiting.
	Incurable bool
}

// Field returns a member of the Proxy-Status field for a fault of the proxy of
// that name.
func Field(name string, k Fault, details string) string {
	return field(name, "error="+k.Error, details)
}

// Received returns a member of the Proxy-Status field for the answer of a backend
// that is passed on, where there is more to say than what it has itself.
func Received(name string, status int, details string) string {
	return field(name, "received-status="+strconv.Itoa(status), details)
}

func field(name, parameter, details string) string {
	var b strings.Builder
	if isToken(name) {
		b.WriteString(name)
	} else {
		b.WriteString(sfString(name))
	}
	b.WriteString("; ")
	b.WriteString(parameter)
	if details != "" {
		b.WriteString("; details=")
		b.WriteString(sfString(details))
	}
	return b.String()
}

// isToken reports whether s is an sf-token (RFC 9651, 3.3.4).
func isToken(s string) bool {
	if s == "" || !isAlpha(s[0]) && s[0] != '*' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~:/", rune(c)) {
			return false
		}
	}
	return true
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// sfString quotes s as an sf-string (RFC 9651, 3.3.3), which holds printable
// ASCII only: every other byte becomes a question mark.
func sfString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c > 0x7e:
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// RetryAfter returns a random whole number of seconds between one and two waits, at
// least one: clients that were refused together shall not return together.
func RetryAfter(wait time.Duration) string {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return strconv.FormatInt(seconds+rand.Int64N(seconds+1), 10)
}

// The header fields.
const (
	Header           = "Proxy-Status"
	RetryAfterHeader = "Retry-After"
)

// Announce puts Proxy-Status, and Retry-After when it is not empty, on an error
// response. A Proxy-Status that a handler before us set is kept: the field is a
// list, and we are the proxy next to the client.
func Announce(h http.Header, status, retry string) {
	h.Add(Header, status)
	h.Del(RetryAfterHeader)
	if retry != "" {
		h.Set(RetryAfterHeader, retry)
	}
}
