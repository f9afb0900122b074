// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkGuard serves nothing at all: what is left is the guard.
func BenchmarkGuard(b *testing.B) {
	runtime.Store(newChildRuntime(nil, "secret"))
	defer runtime.Store(nil)
	nothing := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://site.example/path", nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := (Guard{}).ServeHTTP(w, r, nothing); err != nil {
			b.Fatal(err)
		}
	}
}
