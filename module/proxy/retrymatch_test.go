// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// answering is a backend that always answers with one status.
func answering(t *testing.T, name string, status int) *backendServer {
	return newBackendServer(t, name, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(name))
	})
}

func expression(e string) option {
	return lb("retry_match", []any{map[string]any{"expression": e}})
}

// TestRejectedResponses: lb_retry_match may reject a response, once per backend
// and three in all, and the last one is the answer.
func TestRejectedResponses(t *testing.T) {
	reject := expression("{http.reverse_proxy.status_code} == 503")
	t.Run("next backend", func(t *testing.T) {
		for _, body := range []string{"", "body"} {
			bad, good := answering(t, "bad", 503), newBackendServer(t, "good", nil)
			p := newProxy(t, reject, upstreams(bad.addr(), good.addr()))
			a := p.do("POST", body)
			if a.status != 200 || a.body != body || bad.count.Load() != 1 || good.count.Load() != 1 {
				t.Errorf("got %+v, executed %d and %d times", a, bad.count.Load(), good.count.Load())
			}
		}
	})
	t.Run("other status", func(t *testing.T) {
		bad, good := answering(t, "bad", 500), answering(t, "good", 200)
		p := newProxy(t, reject, upstreams(bad.addr(), good.addr()))
		if a := p.do("POST", "body"); a.status != 500 || good.count.Load() != 0 {
			t.Errorf("got %+v, want the first answer", a)
		}
	})
	t.Run("the only one", func(t *testing.T) {
		bad := answering(t, "bad", 503)
		p := newProxy(t, reject, upstreams(bad.addr()))
		if a := p.do("GET", ""); a.status != 503 || a.body != "bad" || a.header.Get("Proxy-Status") != "" {
			t.Errorf("got %+v, want the answer as it is", a)
		}
		if n := bad.count.Load(); n != 1 {
			t.Errorf("sent %d times, want once", n)
		}
	})
	t.Run("three in all", func(t *testing.T) {
		var sum int64
		var all []*backendServer
		var addresses []string
		for range 5 {
			b := answering(t, "bad", 503)
			all, addresses = append(all, b), append(addresses, b.addr())
		}
		p := newProxy(t, reject, upstreams(addresses...))
		if a := p.do("GET", ""); a.status != 503 || a.body != "bad" {
			t.Errorf("got %+v, want the third answer as it is", a)
		}
		for _, b := range all {
			sum += b.count.Load()
		}
		if sum != 3 {
			t.Errorf("sent %d times, want 3", sum)
		}
	})
	t.Run("body over the budget", func(t *testing.T) {
		bad, good := answering(t, "bad", 503), answering(t, "good", 200)
		p := newProxy(t, reject, set("max_cache_size", 80), upstreams(bad.addr(), good.addr()))
		if a := p.do("POST", "more than an eighth"); a.status != 503 || a.body != "bad" {
			t.Errorf("got %+v: what cannot be sent again keeps its answer", a)
		}
	})
	t.Run("limited by lb_retries", func(t *testing.T) {
		bad := []*backendServer{answering(t, "1", 503), answering(t, "2", 503), answering(t, "3", 503)}
		p := newProxy(t, reject, lb("retries", 1), upstreams(bad[0].addr(), bad[1].addr(), bad[2].addr()))
		if a := p.do("GET", ""); a.status != 503 || a.body != "2" {
			t.Errorf("got %+v, want the second answer", a)
		}
	})
	t.Run("budget is given back", func(t *testing.T) {
		bad, good := answering(t, "bad", 503), newBackendServer(t, "good", nil)
		p := newProxy(t, reject, upstreams(bad.addr(), good.addr()))
		for range 50 {
			if a := p.do("PUT", "body"); a.status != 200 {
				t.Errorf("got %+v", a)
			}
		}
		testwait.Until(t, "nothing is kept", func() bool { return p.policy.claim.entry.budget.used.Load() == 0 })
	})
}

// TestOperatorAllowsTransportErrors: the operator's word is proof for a failed
// attempt too, except after a hang.
func TestOperatorAllowsTransportErrors(t *testing.T) {
	for _, tc := range []struct {
		name  string
		match option
		again bool
	}{
		{"any error", expression("{http.reverse_proxy.is_transport_error} == true"), true},
		{"another path", expression("{http.request.uri.path} == '/other'"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := newRawBackend(t, swallow)
			good := newBackendServer(t, "good", nil)
			p := newProxy(t, tc.match, upstreams(bad.addr(), good.addr()))
			a := p.do("POST", "body")
			if again := a.status == 200 && good.count.Load() == 1; again != tc.again {
				t.Errorf("got %+v, sent again %t, want %t", a, again, tc.again)
			}
		})
	}
}

// TestOperatorAllowsLimits: what a limit of the user's transport has ended goes to
// another backend where lb_retry_match says so, whatever the method.
func TestOperatorAllowsLimits(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	withAndWithout(t, func(t *testing.T, policy option) {
		for _, limit := range []string{"response_header_timeout", "read_timeout"} {
			for _, method := range []string{"GET", "PUT", "POST"} {
				for path, again := range map[string]bool{"/path": true, "/other": false} {
					t.Run(limit+" "+method+" "+path, func(t *testing.T) {
						slow := newBackendServer(t, "slow", func(_ http.ResponseWriter, r *http.Request) {
							_, _ = io.Copy(io.Discard, r.Body)
							<-r.Context().Done()
						})
						good := newBackendServer(t, "good", nil)
						p := newProxy(t, upstreams(slow.addr(), good.addr()), policy, lb("retries", 1), with("request_buffers", -1),
							lb("retry_match", []any{map[string]any{"path": []string{path}}}),
							with("transport", map[string]any{"protocol": "http", limit: "50ms"}))
						a := p.do(method, "order")
						// The stock policy has only one backend in mind.
						if n := slow.count.Load() + good.count.Load(); (n == 2) != again || p.policy != nil && (a.status == 200) != again {
							t.Errorf("got %+v, sent %d times, again wanted: %t", a, n, again)
						}
					})
				}
			}
		}
	})
}
