// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestRetryMatchIsReadAsCaddyReadsIt: which responses the matchers of
// lb_retry_match reject. Those that say nothing of the response reject none.
func TestRetryMatchIsReadAsCaddyReadsIt(t *testing.T) {
	const (
		status    = "{http.reverse_proxy.status_code} in [502, 503]"
		header    = `{http.reverse_proxy.header.X-Try-Next} == "yes"`
		transport = "{http.reverse_proxy.is_transport_error} == true"
	)
	type set map[string]any
	for _, tc := range []struct {
		name   string
		match  []any
		method string
		status int
		header string
		again  bool
	}{
		{"status", []any{set{"expression": status}}, "GET", 502, "", true},
		{"status, through ph", []any{set{"expression": `ph(req, "http.reverse_proxy.status_code") in [502, 503]`}}, "GET", 503, "", true},
		{"another status", []any{set{"expression": status}}, "GET", 500, "", false},
		{"header", []any{set{"expression": header}}, "GET", 200, "yes", true},
		{"another value", []any{set{"expression": header}}, "GET", 200, "no", false},
		{"no header", []any{set{"expression": header}}, "GET", 200, "", false},
		{"method alone", []any{set{"method": []string{"PUT"}}}, "PUT", 503, "", false},
		{"method in an expression", []any{set{"expression": `{http.request.method} == "POST"`}}, "POST", 200, "", false},
		{"upstream in an expression", []any{set{"expression": `{http.reverse_proxy.upstream.host} == "127.0.0.1"`}}, "POST", 503, "", false},
		{"method and status", []any{set{"method": []string{"POST"}, "expression": status}}, "POST", 503, "", true},
		{"another method and status", []any{set{"method": []string{"POST"}, "expression": status}}, "GET", 503, "", false},
		{"path and status", []any{set{"path": []string{"/pa*"}, "expression": status}}, "GET", 503, "", true},
		{"another path and status", []any{set{"path": []string{"/other*"}, "expression": status}}, "GET", 503, "", false},
		{"path and status in an expression", []any{set{"expression": "path('/pa*') && " + status}}, "GET", 502, "", true},
		{"failed attempts only", []any{set{"expression": transport}}, "GET", 502, "", false},
		{"failed attempts or status", []any{set{"expression": transport + " || " + status}}, "GET", 502, "", true},
		{"second of two sets", []any{set{"method": []string{"PUT"}}, set{"expression": status}}, "POST", 502, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first := newBackendServer(t, "first", func(w http.ResponseWriter, _ *http.Request) {
				if tc.header != "" {
					w.Header().Set("X-Try-Next", tc.header)
				}
				w.WriteHeader(tc.status)
			})
			second := newBackendServer(t, "second", nil)
			p := newProxy(t, lb("retry_match", tc.match), upstreams(first.addr(), second.addr()))
			body := ""
			if tc.method != "GET" {
				body = "order"
			}
			a := p.do(tc.method, body)
			want, status, executed := "first", tc.status, int64(0)
			if tc.again {
				want, status, executed = "second", 200, 1
			}
			if a.status != status || a.header.Get("X-Backend") != want {
				t.Errorf("got %d from %q, want %d from %s", a.status, a.header.Get("X-Backend"), status, want)
			}
			if first.count.Load() != 1 || second.count.Load() != executed {
				t.Errorf("executed %d and %d times, want once and %d times", first.count.Load(), second.count.Load(), executed)
			}
			p.nothingLeft()
		})
	}
}

// TestRejectedHeaderIsForgotten: the second backend is judged by its own header.
func TestRejectedHeaderIsForgotten(t *testing.T) {
	first := newBackendServer(t, "first", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Try-Next", "yes") })
	second, third := newBackendServer(t, "second", nil), newBackendServer(t, "third", nil)
	p := newProxy(t, expression(`{http.reverse_proxy.header.X-Try-Next} == "yes"`), upstreams(first.addr(), second.addr(), third.addr()))
	a := p.do("GET", "")
	if a.header.Get("X-Backend") != "second" || a.header.Get("X-Try-Next") != "" || third.count.Load() != 0 {
		t.Errorf("got %+v, and the third was asked %d times", a, third.count.Load())
	}
}

// TestErrorHandlerGetsTheBody: where a proxy found no backend and nothing was
// written, a route that handles the error still has the client's whole body.
func TestErrorHandlerGetsTheBody(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, method := range []string{"POST", "PUT"} {
		for name, body := range map[string]io.Reader{
			"known length": strings.NewReader("the whole body"),
			"chunked":      struct{ io.Reader }{strings.NewReader("the whole body")},
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				good := newBackendServer(t, "good", nil)
				first := newProxy(t, upstreams(deadAddress(t), deadAddress(t)), set("max_reconnect_attempts", 1))
				second := newProxy(t, upstreams(good.addr()))
				front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
					if err := first.handler.ServeHTTP(w, r, nil); err == nil {
						t.Error("the first proxy has no backend and answered")
						return
					}
					if err := second.handler.ServeHTTP(w, r, nil); err != nil {
						t.Error(err)
					}
				}))
				defer front.Close()
				req, err := http.NewRequest(method, front.URL, body)
				if err != nil {
					t.Fatal(err)
				}
				res, err := front.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if got, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(got) != "the whole body" {
					t.Errorf("got %d, %q", res.StatusCode, got)
				}
				if got := res.Header.Get(proxystatus.Header); got != "" {
					t.Errorf("the answer of a backend has Proxy-Status %q", got)
				}
			})
		}
	}
}

// TestClientThatLeft: a request whose client left while it waited is logged as
// Caddy logs it, with status 499.
func TestClientThatLeft(t *testing.T) {
	p := newProxy(t, upstreams(deadAddress(t)))
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	rec := httptest.NewRecorder()
	r := prepared(httptest.NewRequestWithContext(ctx, "GET", "http://x/", nil), "192.0.2.1:1234")
	done := make(chan error, 1)
	go func() { done <- p.handler.ServeHTTP(rec, r, nil) }()
	testwait.Until(t, "it waits", func() bool { return p.policy.claim.entry.pool.Status().Waiting == 1 })
	leave()
	if err := <-done; err != nil || rec.Code != 499 {
		t.Errorf("got %v and status %d, want 499", err, rec.Code)
	}
}

// TestForwardProxy: connections go through the proxy that the transport has. One
// that is down is a failed dial, whatever the method.
func TestForwardProxy(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	through := func(address string) option {
		return with("transport", map[string]any{"protocol": "http", "network_proxy": map[string]any{"from": "url", "url": "http://" + address}})
	}
	for _, method := range []string{"GET", "POST"} {
		t.Run(method+", up", func(t *testing.T) {
			forward := newBackendServer(t, "forward", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.URL.Host)
			})
			p := newProxy(t, upstreams("one.invalid:8080", "two.invalid:8080"), through(forward.addr()),
				with("headers", map[string]any{"request": map[string]any{"set": map[string]any{"Host": []string{"{http.reverse_proxy.upstream.hostport}"}}}})).quiet()
			if a := p.do(method, "body"); a.status != 200 || a.body != "one.invalid:8080" {
				t.Errorf("got %+v", a)
			}
		})
		t.Run(method+", down", func(t *testing.T) {
			p := newProxy(t, upstreams("one.invalid:8080", "two.invalid:8080"), through(deadAddress(t)), lb("retries", 1)).quiet()
			wantStatus(t, p.do(method, "body"), 502, `caddy-broker; error=connection_refused`, false)
			if n := p.asked.Load(); n != 2 {
				t.Errorf("tried %d times, want both backends", n)
			}
		})
	}
}
