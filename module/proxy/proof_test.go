// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TestWeigh: the rules for sending again, as invariants.
func TestWeigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		hung := e.outcome == report.Hung
		switch got := e.weigh(); {
		case got == noProof:
			if e.replayable && !e.began && (!e.written || e.unprocessed || !hung && e.promise != noProof) {
				t.Fatalf("%+v: no proof", e)
			}
		case !e.replayable:
			t.Fatalf("%+v: %s, but the body is gone", e, got)
		case e.began:
			t.Fatalf("%+v: %s, but the response had begun", e, got)
		case e.written && !e.unprocessed && hung && !e.safe:
			t.Fatalf("%+v: %s, but the hung backend may execute it later", e, got)
		case e.written && !e.unprocessed && e.promise == noProof:
			t.Fatalf("%+v: %s out of nothing", e, got)
		}
	})
}

func TestPromise(t *testing.T) {
	for _, tc := range []struct {
		method string
		header http.Header
		track  bool
		want   proof
	}{
		{method: "", want: proofIdempotent},
		{method: "GET", want: proofIdempotent},
		{method: "TRACE", want: proofIdempotent},
		{method: "GET", header: http.Header{"If-None-Match": {"*"}}, want: proofIdempotent},
		{method: "PUT", want: proofIdempotent},
		{method: "PUT", header: http.Header{"If-None-Match": {"*"}}},
		{method: "DELETE", header: http.Header{"If-Match": {"*"}}},
		{method: "PUT", header: http.Header{"If": {"(<urn:uuid:1>)"}}},
		{method: "PUT", header: http.Header{"If-Match": {"*"}, "Idempotency-Key": {"1"}}, track: true, want: proofKey},
		{method: "POST"},
		{method: "post"},
		{method: "get"},
		{method: "CONNECT"},
		{method: "POST", track: true},
		{method: "POST", header: http.Header{"Idempotency-Key": {"1"}}},
		{method: "POST", header: http.Header{"Idempotency-Key": {"1"}}, track: true, want: proofKey},
		{method: "POST", header: http.Header{"Idempotency-Key": {""}}, track: true},
	} {
		if got := promise(&http.Request{Method: tc.method, Header: tc.header}, tc.track); got != tc.want {
			t.Errorf("%s %v, track %t: got %q, want %q", tc.method, tc.header, tc.track, got, tc.want)
		}
	}
}
