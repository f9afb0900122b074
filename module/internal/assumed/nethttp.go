// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// HandlerlessRequest is one that net/http's server answers itself, with 400, before any
// handler, and without a line in a log: HTTP/1.1 requires a Host.
const HandlerlessRequest = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"

// EndRoundTrip ends the round trip of a request whose context nothing else can
// end. That is deprecated and still works for HTTP/1; a context for each request
// costs more than all the rest of the policy.
func EndRoundTrip(t *http.Transport, r *http.Request) {
	t.CancelRequest(r) //nolint:staticcheck // see above
}

// lostConnections is what errors of net/http's HTTP/2 part hold when a connection
// ended; it exports no types for them.
var lostConnections = []string{"http2: client conn", "http2: Transport", "GOAWAY", "connection error: ", "http2: timeout"}

// LostHTTP2 reports whether an error of an HTTP/2 attempt is one of its
// connection and not of the request, by its text.
func LostHTTP2(err error) bool {
	text := err.Error()
	return slices.ContainsFunc(lostConnections, func(s string) bool { return strings.Contains(text, s) })
}

// HeaderTooLarge reports whether a response had too large a header, by the text.
func HeaderTooLarge(err error) bool {
	text := err.Error()
	return strings.Contains(text, "response headers exceeded") || strings.Contains(text, "header list larger than")
}

// Malformed reports whether a response was not HTTP, by the text.
func Malformed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed") || strings.Contains(text, "PROTOCOL_ERROR")
}

// TLSError reports whether an error without a type of its own is one of
// crypto/tls, by the text.
func TLSError(err error) bool { return strings.HasPrefix(err.Error(), "tls: ") }

// TLSAlert reports whether an error is an alert of the other side of a TLS connection:
// over TCP crypto/tls has no type for it, and names the operation so.
func TLSAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// RequestRecord reports whether what a TLS connection writes at once, after the
// handshake, can hold a part of a request: crypto/tls writes whole records, and
// those of alerts and, in TLS 1.3 where they look like data, of alerts and key
// updates have a fixed size, which is less than the shortest request needs.
func RequestRecord(p []byte) bool {
	const applicationData, alert13, keyUpdate13 = 23, 24, 27
	return len(p) > 0 && p[0] == applicationData && len(p) != alert13 && len(p) != keyUpdate13
}

// CloseAfterReply makes net/http's server close an HTTP/1 connection after the response
// that w is for, whether its header was written or not, and lets the client read that
// response before: a client that is still sending its request's body would find the
// connection reset otherwise. The only way there is what [http.MaxBytesReader] does when
// a body is too large. w may be what Caddy wraps around the server's own.
func CloseAfterReply(w http.ResponseWriter) {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = wrapper.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}
