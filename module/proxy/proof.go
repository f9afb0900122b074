// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"slices"
)

// proof is why a request may be sent once more although it was sent before.
type proof string

// The proofs. Without one nothing is sent again.
const (
	noProof proof = ""
	// proofUnwritten: no byte of the request was written.
	proofUnwritten proof = "nothing_written"
	// proofUnprocessed: the backend said by protocol that it did not process it.
	proofUnprocessed proof = "not_processed"
	// proofIdempotent: sending it twice does what sending it once does.
	proofIdempotent proof = "idempotent"
	// proofKey: the backends execute a request with that Idempotency-Key once.
	proofKey proof = "idempotency_key"
	// proofOperator: lb_retry_match matches.
	proofOperator proof = "lb_retry_match"
)

// isSafe reports whether executing a request of that method changes nothing.
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return true
	}
	return false
}

// conditionals make PUT and DELETE depend on a state that their own first
// execution has changed; If is WebDAV's (RFC 4918).
var conditionals = []string{"If", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// isIdempotent reports whether executing the request twice is as good as once.
func isIdempotent(r *http.Request) bool {
	if isSafe(r.Method) {
		return true
	}
	if r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return false
	}
	return !slices.ContainsFunc(conditionals, func(name string) bool { return len(r.Header[name]) > 0 })
}

// hasIdempotencyKey reports whether the request names itself.
func hasIdempotencyKey(h http.Header) bool {
	v := h["Idempotency-Key"]
	return len(v) > 0 && v[0] != ""
}

// promise is the proof that a request brings along: what may be said of it
// before it is sent. track is option track_messages.
func promise(r *http.Request, track bool) proof {
	switch {
	case isIdempotent(r):
		return proofIdempotent
	case track && hasIdempotencyKey(r.Header):
		return proofKey
	}
	return noProof
}
