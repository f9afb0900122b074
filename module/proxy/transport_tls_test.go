// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// tlsBackend is a backend with TLS, and the transport that trusts it.
func tlsBackend(tb testing.TB, http2 bool, serve http.HandlerFunc) (*httptest.Server, option) {
	tb.Helper()
	s := httptest.NewUnstartedServer(serve)
	s.EnableHTTP2 = http2
	s.StartTLS()
	tb.Cleanup(s.Close)
	return s, with("transport", map[string]any{"protocol": "http", "tls": map[string]any{"insecure_skip_verify": true}})
}

// TestTLSBackends: over HTTP/1 and HTTP/2, and the certificate is checked.
func TestTLSBackends(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %t", h2), func(t *testing.T) {
			s, insecure := tlsBackend(t, h2, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s", r.Proto, body)
			})
			p := newProxy(t, insecure, upstreams(deadAddress(t), s.Listener.Addr().String()))
			want := "HTTP/1.1 body"
			if h2 {
				want = "HTTP/2.0 body"
			}
			for range 3 {
				if a := p.do("POST", "body"); a.status != 200 || a.body != want {
					t.Errorf("got %+v, want %q", a, want)
				}
			}
			strict := newProxy(t, with("transport", map[string]any{"protocol": "http", "tls": map[string]any{}}),
				upstreams(s.Listener.Addr().String()), set("pool", "strict"))
			wantStatus(t, strict.do("POST", "body"), 502, `caddy-broker; error=tls_certificate_error`, false)
		})
	}
}

// TestTLSConnectionsThatDie: what TLS itself writes when a connection ends is not
// taken for a part of a request.
func TestTLSConnectionsThatDie(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	cfg := cert.TLS.Clone()
	cfg.NextProtos = nil
	cert.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := startRawBackend(t, l, func(r rawRequest) bool { r.ok(); return false }) // closes after every answer, without saying so
	p := newProxy(t, with("transport", map[string]any{"protocol": "http", "tls": map[string]any{"insecure_skip_verify": true}}),
		upstreams(b.addr()))
	for range 100 {
		if a := p.do("POST", "body"); a.status != 200 && a.header.Get(proxystatus.Header) != `caddy-broker; error=connection_terminated; details="in-doubt"` {
			t.Errorf("got %+v", a)
		}
	}
	// The backend closes while the next request is on its way: such a request is
	// either not written, and then sent on a new connection, or in doubt.
	if n := b.seen.Load(); n > 100 {
		t.Errorf("100 POSTs were executed %d times", n)
	}
}
