// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// newPingBackend answers everything by itself, pings too.
func newPingBackend(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(serve)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestPing: what a ping sends, and what counts as an answer.
func TestPing(t *testing.T) {
	health := func(extra map[string]any) option {
		active := map[string]any{"uri": "/health?deep=1", "interval": "1h"}
		maps.Copy(active, extra)
		return with("health_checks", map[string]any{"active": active})
	}
	for _, tc := range []struct {
		name    string
		options []option
		status  int
		body    string
		want    string // what the backend got
		answer  int
		fails   bool
	}{
		{name: "default", status: 200, want: "OPTIONS * ", answer: 200},
		{name: "any status", status: 503, want: "OPTIONS * ", answer: 503},
		{name: "option ping", options: []option{set("ping", "GET /up")}, status: 404, want: "GET /up ", answer: 404},
		{name: "static Host", options: []option{with("headers", map[string]any{"request": map[string]any{"set": map[string]any{"Host": []string{"app.example"}}}})}, status: 200, want: "OPTIONS * app.example", answer: 200},
		{name: "health check", options: []option{health(nil)}, status: 204, want: "GET /health?deep=1 ", answer: 204},
		{name: "health check fails", options: []option{health(nil)}, status: 500, want: "GET /health?deep=1 ", answer: 500, fails: true},
		{name: "expect_status", options: []option{health(map[string]any{"expect_status": 4})}, status: 404, want: "GET /health?deep=1 ", answer: 404},
		{name: "expect_body", options: []option{health(map[string]any{"expect_body": "^ok"})}, status: 200, body: "ok!", want: "GET /health?deep=1 ", answer: 200},
		{name: "expect_body fails", options: []option{health(map[string]any{"expect_body": "^ok"})}, status: 200, body: "down", want: "GET /health?deep=1 ", answer: 200, fails: true},
		{
			name:    "headers of a health check",
			options: []option{health(map[string]any{"method": "HEAD", "headers": map[string][]string{"Host": {"check.example"}}})},
			status:  200, want: "HEAD /health?deep=1 check.example", answer: 200,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make(chan string, 100)
			b := newPingBackend(t, func(w http.ResponseWriter, r *http.Request) {
				host := r.Host
				if _, _, err := net.SplitHostPort(host); err == nil {
					host = ""
				}
				got <- fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, host)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			p := newProxy(t, append(tc.options, upstreams(b))...).quiet()
			r := p.policy.ping(t.Context(), p.policy.claim.entry.pool.Members()[0])
			if r.Status != tc.answer || (r.Err != nil) != tc.fails || r.Neutral {
				t.Errorf("got %+v, want status %d, an error: %t", r, tc.answer, tc.fails)
			}
			if s := <-got; s != tc.want {
				t.Errorf("sent %q, want %q", s, tc.want)
			}
		})
	}
}

// TestPingOverHTTP2 is a PING frame, unless a request was asked for.
func TestPingOverHTTP2(t *testing.T) {
	b := newH2Backend(t, h2Stream.ok)
	p := newProxy(t, h2c, upstreams(b.addr())).quiet()
	m := p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.ping(t.Context(), m); r.Err != nil || r.Status != 0 || b.pings.Load() != 1 || b.seen.Load() != 0 {
		t.Errorf("got %+v, %d pings and %d requests", r, b.pings.Load(), b.seen.Load())
	}
	p = newProxy(t, h2c, upstreams(b.addr()), set("ping", "GET /up"), set("pool", "asked")).quiet()
	m = p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.ping(t.Context(), m); r.Err != nil || r.Status != 200 || b.seen.Load() != 1 {
		t.Errorf("got %+v and %d requests", r, b.seen.Load())
	}
}

// TestPingWithoutAnswer.
func TestPingWithoutAnswer(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	for name, address := range map[string]string{
		"silent":  hole.Addr().String(),
		"refused": deadAddress(t),
		"garbage": newRawBackend(t, func(r rawRequest) bool { r.reply("what?\n"); return false }).addr(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, upstreams(address), set("ping", "GET /up"), set("nested", map[string]any{"connection_timeout": "50ms"})).quiet()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			r := p.policy.ping(ctx, p.policy.claim.entry.pool.Members()[0])
			if r.Err == nil || r.Neutral {
				t.Errorf("got %+v, want an error that is the backend's", r)
			}
		})
	}
}

// TestPingHasALimitOfItsOwn: a backend may take longer to answer a ping or a health
// check than to take a connection, and still come back.
func TestPingHasALimitOfItsOwn(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for name, options := range map[string][]option{
		"ping":         {set("ping", "GET /health")},
		"health check": {with("health_checks", map[string]any{"active": map[string]any{"uri": "/health", "interval": "100ms", "timeout": "20s"}})},
	} {
		t.Run(name, func(t *testing.T) {
			address := deadAddress(t)
			p := newProxy(t, append(options, upstreams(address), set("timeout", "100ms"),
				set("nested", map[string]any{"connection_timeout": "20ms"}))...)
			if a := p.do("GET", ""); a.status < 500 {
				t.Fatalf("at first: %+v", a)
			}
			slow := time.NewTimer(200 * time.Millisecond)
			b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/health" {
					select {
					case <-slow.C: // ten times what a connection may take
						slow.Reset(0)
					case <-r.Context().Done():
					}
				}
				_, _ = io.WriteString(w, "ok")
			}))
			b.Listener = revive(t, address)
			b.Start()
			defer b.Close()
			eventually(t, "the backend is back", func() bool { return p.do("GET", "").status == 200 })
		})
	}
}
