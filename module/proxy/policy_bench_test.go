// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkProxy proxies whole requests over loopback connections, kept or a new
// one for each, with the stock policy `first` and with this one. The difference is
// what the policy and its transport cost.
func BenchmarkProxy(b *testing.B) {
	for _, bench := range []struct {
		name    string
		stock   bool
		closing bool // the backend closes each connection
		options []option
	}{
		{name: "first", stock: true},
		{name: "failover"},
		{name: "failover-random", options: []option{set("randomize", true)}},
		{name: "first-dial", stock: true, closing: true},
		{name: "failover-dial", closing: true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			raw := make([]string, 3)
			for i := range raw {
				raw[i] = newBackendServer(b, "x", func(w http.ResponseWriter, _ *http.Request) {
					if bench.closing {
						w.Header().Set("Connection", "close")
					}
					_, _ = io.WriteString(w, "hello")
				}).addr()
			}
			options := append([]option{upstreams(raw...)}, bench.options...)
			if bench.stock {
				options = []option{upstreams(raw...), with("load_balancing", map[string]any{
					"selection_policy": map[string]any{"policy": "first"},
				})}
			}
			p := newProxy(b, options...)
			if p.policy != nil {
				p.handler.LoadBalancing.SelectionPolicy = p.policy
			}
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				// The server has a context for each request, too.
				ctx, cancel := context.WithCancel(b.Context())
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://site.example/path", nil)
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
				clear(w.header)
				if err := p.handler.ServeHTTP(w, r, nil); err != nil {
					b.Fatal(err)
				}
				cancel()
			}
		})
	}
}

// discard is a response nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
