// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// swallow reads the request and closes: it may have been executed.
func swallow(r rawRequest) bool { return false }

// TestLostRequestIsSentAgainOnlyWithProof: the first backend reads the request,
// executes it and closes without an answer.
func TestLostRequestIsSentAgainOnlyWithProof(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	body := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		name    string
		method  string
		body    string
		header  []string
		options []option
		again   bool
	}{
		{name: "GET", method: "GET", again: true},
		{name: "HEAD", method: "HEAD", again: true},
		{name: "OPTIONS", method: "OPTIONS", again: true},
		{name: "DELETE", method: "DELETE", again: true},
		{name: "PUT with body", method: "PUT", body: body, again: true},
		{name: "PUT without body", method: "PUT", again: true},
		{name: "PUT with If-Match", method: "PUT", body: body, header: []string{"If-Match", `"1"`}},
		{name: "DELETE with If-Unmodified-Since", method: "DELETE", header: []string{"If-Unmodified-Since", "Sun, 22 Nov 2026 00:00:00 GMT"}},
		{name: "PUT over the budget", method: "PUT", body: strings.Repeat("x", 20<<10)},
		{name: "POST", method: "POST", body: body},
		{name: "POST without body", method: "POST"},
		{name: "PATCH", method: "PATCH", body: body},
		{name: "POST with key", method: "POST", body: body, header: []string{"Idempotency-Key", "1"}},
		{name: "empty POST with key", method: "POST", header: []string{"Idempotency-Key", "1"}},
		{name: "tracked POST", method: "POST", body: body, options: []option{set("track_messages", true)}},
		{name: "tracked POST with key", method: "POST", body: body, header: []string{"Idempotency-Key", "1"}, options: []option{set("track_messages", true)}, again: true},
		{name: "tracked empty POST with key", method: "POST", header: []string{"Idempotency-Key", "1"}, options: []option{set("track_messages", true)}, again: true},
		{name: "tracked POST with empty key", method: "POST", body: body, header: []string{"Idempotency-Key", ""}, options: []option{set("track_messages", true)}},
		{name: "POST by lb_retry_match", method: "POST", body: body, options: []option{lb("retry_match", []any{map[string]any{"method": []string{"POST"}}})}, again: true},
		{name: "PATCH by another lb_retry_match", method: "PATCH", body: body, options: []option{lb("retry_match", []any{map[string]any{"method": []string{"POST"}}})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := newRawBackend(t, swallow)
			good := newBackendServer(t, "good", nil)
			p := newProxy(t, append(tc.options, upstreams(bad.addr(), good.addr()))...)
			a := p.do(tc.method, tc.body, tc.header...)
			if n := bad.seen.Load(); n != 1 {
				t.Errorf("the first backend got it %d times, want once", n)
			}
			if !tc.again {
				wantStatus(t, a, 502, `caddy-broker; error=connection_terminated; details="in-doubt"`, false)
				if n := good.count.Load(); n != 0 {
					t.Errorf("sent again %d times without proof", n)
				}
				wantDoubt(t, p, tc.method, bad.addr())
				return
			}
			if a.status != 200 || good.count.Load() != 1 {
				t.Errorf("got %d, executed %d times by the second backend, want 200 and once: %s", a.status, good.count.Load(), a.body)
			}
			if tc.method != "HEAD" && a.body != tc.body {
				t.Errorf("the second backend got %d bytes, want the same %d", len(a.body), len(tc.body))
			}
		})
	}
}

// wantStatus checks how an error is announced.
func wantStatus(t *testing.T, a clientAnswer, status int, proxyStatus string, retryAfter bool) {
	t.Helper()
	if a.status != status || a.header.Get(proxystatus.Header) != proxyStatus {
		t.Errorf("got %d, Proxy-Status %q, want %d, %q\n%s", a.status, a.header.Get(proxystatus.Header), status, proxyStatus, a.body)
	}
	if got := a.header.Get(proxystatus.RetryAfterHeader) != ""; got != retryAfter {
		t.Errorf("Retry-After %q, want one: %t", a.header.Get(proxystatus.RetryAfterHeader), retryAfter)
	}
}

// wantDoubt checks that the last request in doubt is the one expected.
func wantDoubt(t *testing.T, p *proxy, method, backend string) {
	t.Helper()
	// From the end: an earlier test's backend may have had the same port.
	for _, d := range slices.Backward(pools.ledger.List()) {
		if d.Backend == "http://"+backend {
			if d.Method != method || d.Path != "/path" || d.Pool != p.policy.claim.entry.name || d.RequestID == "" || d.Reason == "" {
				t.Errorf("in doubt: %+v", d)
			}
			return
		}
	}
	t.Errorf("no request in doubt on %s", backend)
}

// TestNothingIsSentTwiceBelowThePolicy: on a connection that was used before, the
// backend executes the request and closes. net/http repeats such requests by
// itself; here only the policy may, and once.
func TestNothingIsSentTwiceBelowThePolicy(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		header       []string
		want         int64 // executions at the backend, with the policy's own
		status       int
	}{
		{"GET", "GET", nil, 2, 200},
		{"empty POST with key", "POST", []string{"Idempotency-Key", "1"}, 1, 502},
		{"empty POST with X-key", "POST", []string{"X-Idempotency-Key", "1"}, 1, 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newRawBackend(t, func(r rawRequest) bool {
				if r.on > 1 {
					return false
				}
				return r.ok()
			})
			other := newBackendServer(t, "other", nil)
			p := newProxy(t, upstreams(b.addr(), other.addr()))
			if a := p.do("GET", ""); a.status != 200 {
				t.Fatalf("first request: %+v", a)
			}
			a := p.do(tc.method, "", tc.header...)
			if a.status != tc.status {
				t.Errorf("got %+v, want %d", a, tc.status)
			}
			if n := b.seen.Load() - 1; n != tc.want {
				t.Errorf("executed %d times, want %d", n, tc.want)
			}
			if n := other.count.Load(); n != 0 {
				t.Errorf("failed over %d times: a reused connection says nothing of the backend", n)
			}
			if s := p.policy.claim.entry.pool.Status().Upstreams[0].State; s != "up" {
				t.Errorf("the backend is %s, want up", s)
			}
		})
	}
}

// TestReusedConnectionsThatDie: every connection dies at its second request, of
// many in the idle pool. Each request is executed at most twice, and each answered.
func TestReusedConnectionsThatDie(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		if r.on == 1 {
			return r.ok()
		}
		return r.reset()
	})
	p := newProxy(t, upstreams(b.addr(), newBackendServer(t, "other", nil).addr()))
	const clients = 8
	for range 5 {
		done := make(chan clientAnswer, clients)
		for range clients {
			go func() { done <- p.do(http.MethodGet, "") }()
		}
		for range clients {
			if a := <-done; a.status != 200 || a.header.Get("X-Backend") == "other" {
				t.Errorf("got %+v, want the answer of the first backend", a)
			}
		}
	}
	if n := b.seen.Load(); n > 2*5*clients {
		t.Errorf("%d requests were executed %d times", 5*clients, n)
	}
}

// TestWritesAreCounted: backends that reset every request, at the moment at which
// there still is a connection from before.
func TestWritesAreCounted(t *testing.T) {
	var broken atomic.Bool
	serve := func(r rawRequest) bool {
		if broken.Load() {
			return r.reset()
		}
		return r.ok()
	}
	var backends []*rawBackend
	var addresses []string
	for range 5 {
		b := newRawBackend(t, serve)
		backends, addresses = append(backends, b), append(addresses, b.addr())
	}
	p := newProxy(t, upstreams(addresses...))
	if a := p.do("GET", ""); a.status != 200 {
		t.Fatalf("first request: %+v", a)
	}
	broken.Store(true)
	wantStatus(t, p.do("GET", ""), 502, "caddy-broker; error=connection_terminated", false)
	written := int64(-1) // the first request
	for _, b := range backends {
		written += b.seen.Load()
	}
	if written != failover.MaxWrites {
		t.Errorf("written %d times, want %d", written, failover.MaxWrites)
	}
}
