// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestNothingIsLeftBehind: whatever backends did, when the handler is gone so are
// its goroutines, connections and kept bodies.
func TestNothingIsLeftBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs requests of all kinds many times")
	}
	left := goleak.IgnoreCurrent()
	t.Run("faults", func(t *testing.T) {
		for name, serve := range map[string]func(r rawRequest) bool{
			"closes":                      swallow,
			"resets":                      rawRequest.reset,
			"garbage":                     func(r rawRequest) bool { r.reply("what?\n\n"); return false },
			"breaks":                      func(r rawRequest) bool { r.reply("HTTP/1.1 200 OK\nContent-Length: 9\n\nhalf"); return false },
			"early 413":                   func(r rawRequest) bool { r.reply("HTTP/1.1 413 No\nContent-Length: 0\n\n"); return false },
			"hangs":                       func(r rawRequest) bool { _, _ = io.Copy(io.Discard, r.conn); return false },
			"closes its idle connections": func(r rawRequest) bool { r.ok(); return false },
		} {
			t.Run(name, func(t *testing.T) {
				b := newRawBackend(t, serve)
				p := newProxy(t, upstreams(deadAddress(t), b.addr()), set("backup", true), set("timeout", "100ms"),
					set("nested", map[string]any{"so_timeout": "100ms"}))
				m := p.policy.claim.entry.pool.Members()
				p.policy.way.Warm(m)
				for _, method := range []string{"GET", "PUT", "POST"} {
					for _, body := range []string{"", "body", strings.Repeat("x", 100<<10)} {
						req, err := http.NewRequest(method, p.URL, strings.NewReader(body))
						if err != nil {
							t.Fatal(err)
						}
						res, err := p.Client().Do(req)
						if err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							res.Body.Close()
						}
					}
				}
				entry := p.policy.claim.entry
				testwait.Until(t, "all places are free", func() bool {
					for _, u := range entry.pool.Status().Upstreams {
						if u.Requests != 0 {
							return false
						}
					}
					return true
				})
				if n := entry.budget.used.Load(); n != 0 {
					t.Errorf("%d bytes of bodies are kept", n)
				}
				p.end()
				testwait.Until(t, "all connections are closed", func() bool {
					return !slices.ContainsFunc(m, func(m *failover.Member) bool { b := p.policy.way.Known(m); return b != nil && b.Busy() })
				})
			})
		}
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, left)
}
