// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// TestExchangeEndsWithItsHandler: however the handler ends, no place on the backend
// and no byte of a kept body stays taken.
func TestExchangeEndsWithItsHandler(t *testing.T) {
	handle := func(handlers ...any) option {
		return with("handle_response", []any{map[string]any{
			"match":  map[string]any{"status_code": []int{200}},
			"routes": []any{map[string]any{"handle": handlers}},
		}})
	}
	ok := func(r rawRequest) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		r.reply("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
		return true
	}
	for _, tc := range []struct {
		name   string
		answer func(r rawRequest) bool
		option option
		header string
	}{
		{name: "a route aborts", answer: ok, option: handle(map[string]any{"handler": "static_response", "abort": true})},
		{name: "a route fails", answer: ok, option: handle(map[string]any{"handler": "error", "status_code": 403})},
		{name: "a route answers otherwise", answer: ok, option: handle(map[string]any{"handler": "static_response", "body": "no"})},
		{name: "a status that cannot be passed on", answer: func(r rawRequest) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			r.reply("HTTP/1.1 042 What\nContent-Length: 2\n\nok")
			return true
		}},
		{name: "a broken-off response", answer: func(r rawRequest) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			r.reply("HTTP/1.1 200 OK\nContent-Length: 9\n\nhalf")
			return false
		}},
		{name: "an upgrade to something else", header: "websocket", answer: func(r rawRequest) bool {
			r.reply("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: other\n\n")
			_, _ = io.Copy(io.Discard, r.conn)
			return false
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newRawBackend(t, tc.answer)
			options := []option{
				upstreams(b.addr()), set("nested", map[string]any{"max_requests": 2}), set("timeout", "1s"),
				// Until the response has been looked at, its request's body is kept.
				lb("retry_match", []any{map[string]any{"expression": "{http.reverse_proxy.status_code} == 599"}}),
			}
			if tc.option != nil {
				options = append(options, tc.option)
			}
			p := newProxy(t, options...)
			for range 4 {
				req, err := http.NewRequest("PUT", p.URL, strings.NewReader(strings.Repeat("x", 8000)))
				if err != nil {
					t.Fatal(err)
				}
				if tc.header != "" {
					req.Header.Set("Connection", "Upgrade")
					req.Header.Set("Upgrade", tc.header)
				}
				res, err := p.Client().Do(req)
				if err != nil {
					continue
				}
				if res.Body.Close(); res.StatusCode == http.StatusServiceUnavailable {
					t.Fatal("there was no place left on the backend")
				}
			}
			entry := p.policy.claim.entry
			testwait.Until(t, "the place is free", func() bool { return entry.pool.Status().Upstreams[0].Requests == 0 })
			testwait.Until(t, "no body is kept", func() bool { return entry.budget.used.Load() == 0 })
		})
	}
}

// TestExchangeEndsWithAPanickingTransport frees the place as well.
func TestExchangeEndsWithAPanickingTransport(t *testing.T) {
	p := newProxy(t, upstreams(deadAddress(t)), set("nested", map[string]any{"max_requests": 1}), set("timeout", "1s")).quiet()
	p.through(func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) })
	for range 3 {
		if res, err := p.Client().Get(p.URL); err == nil {
			res.Body.Close()
			t.Errorf("got %d, want no answer", res.StatusCode)
		}
	}
	testwait.Until(t, "the place is free", func() bool { return p.policy.claim.entry.pool.Status().Upstreams[0].Requests == 0 })
}

// through makes the proxy send what it sends through f, a transport of its own kind.
func (p *proxy) through(f roundTripFunc) {
	p.t.Helper()
	cfg := p.policy.way.Config
	p.policy.way, p.policy.transport.RoundTripper = reach.New(f), f
	if err := p.policy.way.Provision(p.ctx, cfg); err != nil {
		p.t.Fatal(err)
	}
}

// roundTripFunc is a transport.
type roundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
