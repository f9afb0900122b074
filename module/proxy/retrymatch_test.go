// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
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
		wantStatus(t, p.do("GET", ""), 503, `caddy-broker; error=destination_unavailable`, false)
		if n := bad.count.Load(); n != 1 {
			t.Errorf("sent %d times, want once", n)
		}
	})
	t.Run("the attempt before is in doubt", func(t *testing.T) {
		lost, bad := newRawBackend(t, swallow), answering(t, "bad", 503)
		anything := expression("{http.reverse_proxy.is_transport_error} == true || {http.reverse_proxy.status_code} == 503")
		p := newProxy(t, anything, upstreams(lost.addr(), bad.addr()))
		wantStatus(t, p.do("POST", "body"), 503, `caddy-broker; error=destination_unavailable; details="in-doubt"`, false)
		wantDoubt(t, p, "POST", lost.addr())
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
