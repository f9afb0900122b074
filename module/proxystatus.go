// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// defaultProxyName names this proxy in Proxy-Status when the handler has no
// proxy_status_name.
const defaultProxyName = "caddy-broker"

// inDoubt is the detail of an error that ends an unsafe request of which a byte
// was written: it may have been executed.
const inDoubt = "in-doubt"

// faultKind is what went wrong with an attempt, in the terms of RFC 9209.
type faultKind struct {
	// proxyError is the error type of Proxy-Status.
	proxyError string
	// status is the answer when nothing is left to try.
	status int
	// incurable faults do not go away by waiting.
	incurable bool
}

// proxyStatus is a member of the Proxy-Status field (RFC 9209) for a fault.
func proxyStatus(name string, k faultKind, details string) string {
	var b strings.Builder
	if isToken(name) {
		b.WriteString(name)
	} else {
		b.WriteString(sfString(name))
	}
	b.WriteString("; error=")
	b.WriteString(k.proxyError)
	if details != "" {
		b.WriteString("; details=")
		b.WriteString(sfString(details))
	}
	return b.String()
}

// isToken tells whether s is an sf-token (RFC 9651, 3.3.4).
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

// retryAfter is a random whole number of seconds between one and two waits, at
// least one: clients that were refused together shall not return together.
func retryAfter(wait time.Duration) string {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return strconv.FormatInt(seconds+rand.Int64N(seconds+1), 10)
}

// The header fields with which an error tells the client what happened.
const (
	headerProxyStatus = "Proxy-Status"
	headerRetryAfter  = "Retry-After"
)

// announce puts Proxy-Status, and Retry-After when it is not empty, on an error
// response. A Proxy-Status that a handler before us set is kept: the field is a
// list, and we are the proxy next to the client.
func announce(h http.Header, status, retry string) {
	h.Add(headerProxyStatus, status)
	h.Del(headerRetryAfter)
	if retry != "" {
		h.Set(headerRetryAfter, retry)
	}
}
