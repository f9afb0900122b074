// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestOwnConnectionsAreNoClients: pings come from the balancer itself.
func TestOwnConnectionsAreNoClients(t *testing.T) {
	heads := make(chan string, 100)
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heads <- r.RemoteAddr }))
	b.Listener = proxyHeads{b.Listener}
	b.Config.DisableGeneralOptionsHandler = true
	b.Start()
	defer b.Close()
	p := newProxy(t, upstreams(b.Listener.Addr().String()),
		with("transport", map[string]any{"protocol": "http", "proxy_protocol": "v1"})).quiet()
	if r := p.policy.way.Ping(t.Context(), p.policy.claim.entry.pool.Members()[0]); r.Err != nil || r.Status != 200 {
		t.Fatalf("got %+v", r)
	}
	if head := <-heads; !strings.HasPrefix(head, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
		t.Errorf("the ping came from %q", head)
	}
}

// TestNameThatOnlyARequestKnows: where TLS asks for a name that depends on the
// request, pings do not keep a backend down that requests can reach.
func TestNameThatOnlyARequestKnows(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	address := deadAddress(t)
	p := newProxy(t, upstreams(address), set("timeout", "100ms"), set("backup", true), with("transport", map[string]any{
		"protocol": "http", "tls": map[string]any{"server_name": "{http.request.header.X-Name}", "insecure_skip_verify": true},
	}))
	if got := p.do("GET", "", "X-Name", "one.test"); got.status < 500 {
		t.Fatalf("at first: %+v", got)
	}
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.TLS.ServerName) }))
	b.Listener = revive(t, address)
	b.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello.ServerName != "one.test" {
			return nil, errors.New("no such site")
		}
		return nil, nil
	}}
	b.StartTLS()
	defer b.Close()
	testwait.Until(t, "the backend is back", func() bool {
		got := p.do("GET", "", "X-Name", "one.test")
		return got.status == 200 && got.body == "one.test"
	})
}

// TestHealthCheckThatCannotBeMade: health_port on a unix socket keeps no backend
// down; the ping stands for it.
func TestHealthCheckThatCannotBeMade(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	dir, err := os.MkdirTemp("", "check")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	p := newProxy(t, upstreams("unix/"+socket), set("timeout", "100ms"),
		with("health_checks", map[string]any{"active": map[string]any{"uri": "/health", "port": 9, "interval": "1h"}}))
	if got := p.do("GET", ""); got.status < 500 {
		t.Fatalf("at first: %+v", got)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	b.Listener = l
	b.Start()
	defer b.Close()
	testwait.Until(t, "the backend is back", func() bool { return p.do("GET", "").status == 200 })
}

// stalled is a request body whose client sends nothing more in time.
type stalled struct{ begun bool }

func (s *stalled) Read(p []byte) (int, error) {
	if s.begun {
		return 0, os.ErrDeadlineExceeded
	}
	s.begun = true
	return copy(p, "begun"), nil
}

func (*stalled) Close() error { return nil }

// TestStalledUpload is answered as a time-out and not as a bad request.
func TestStalledUpload(t *testing.T) {
	withAndWithout(t, func(t *testing.T, policy option) {
		b := newBackendServer(t, "b", nil)
		p := newProxy(t, policy, upstreams(b.addr()))
		r := prepared(httptest.NewRequest("POST", "http://x/", new(stalled)), "192.0.2.1:1")
		err := p.handler.ServeHTTP(httptest.NewRecorder(), r, nil)
		var answer caddyhttp.HandlerError
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("got %v, want 504", err)
		}
	})
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
			testwait.Until(t, "the backend is back", func() bool { return p.do("GET", "").status == 200 })
		})
	}
}
