// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// BenchmarkGuard serves nothing at all: what is left is the guard, without and with an
// account of the requests.
func BenchmarkGuard(b *testing.B) {
	for name, keeps := range map[string]*account.Writer{"plain": nil, "account": account.New()} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b.Run(name+"/"+method, func(b *testing.B) {
				rt := newChildRuntime(nil)
				rt.account = keeps
				runtime.Store(rt)
				defer runtime.Store(nil)
				nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
				ctx, cancel := context.WithCancel(context.WithValue(b.Context(), caddyhttp.VarsCtxKey, make(map[string]any)))
				defer cancel()
				w := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(ctx, method, "http://site.example/path/of/a/request", nil)
				r.Header.Set("X-Request-Id", "0b8f9a52-8f6e-4f3e-9d3a-1f5f2c7c8f10")
				b.ReportAllocs()
				for b.Loop() {
					if err := (Guard{}).ServeHTTP(w, r, nothing); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
