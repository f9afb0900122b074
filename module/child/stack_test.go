// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/net/http2"
)

// A request over HTTP/2 has the context of its connection, from which Caddy learns which one
// it is.
func TestDeepStacksKeepTheContext(t *testing.T) {
	type key struct{}
	var got any
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Context().Value(key{})
	}))
	b.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, "the connection's")
	}
	if err := http2.ConfigureServer(b.Config, new(http2.Server)); err != nil { //nolint:staticcheck // as Caddy does it
		t.Fatal(err)
	}
	newChildRuntime(nil).followHTTP2(b.Config)
	b.EnableHTTP2 = true
	b.StartTLS()
	defer b.Close()
	res, err := b.Client().Get(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 || got != "the connection's" {
		t.Errorf("over %s the handler finds %v", res.Proto, got)
	}

	base := onDeepStack{http.NotFoundHandler()}.BaseContext()
	if base != context.Background() {
		t.Errorf("without a context of the connection it is %v", base)
	}
}

// frames takes about as much of the stack as the handlers of a proxied request.
//
//go:noinline
func frames(n int) byte {
	var here [512]byte
	here[n] = byte(n)
	if n > 0 {
		here[0] += frames(n - 1)
	}
	return here[0] + here[n]
}

// BenchmarkStack is a request's goroutine, with a stack that grows as it is needed or at once.
func BenchmarkStack(b *testing.B) {
	done := make(chan struct{})
	for name, begin := range map[string]func(){"doubled": func() {}, "at once": growStack} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				go func() {
					begin()
					frames(32)
					done <- struct{}{}
				}()
				<-done
			}
		})
	}
}
