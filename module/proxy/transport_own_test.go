// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
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

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestOwnConnectionsAreNoClients: pings come from the balancer itself, and no
// connection that names a client is held for another one.
func TestOwnConnectionsAreNoClients(t *testing.T) {
	for version, own := range map[string]string{"v1": "PROXY TCP4 127.0.0.1 127.0.0.1 ", "v2": "\r"} {
		t.Run(version, func(t *testing.T) {
			heads := make(chan string, 100)
			b := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heads <- r.RemoteAddr }))
			b.Listener = proxyHeads{b.Listener}
			b.Config.DisableGeneralOptionsHandler = true
			b.Start()
			defer b.Close()
			p := newProxy(t, upstreams(b.Listener.Addr().String()), set("backup", true),
				with("transport", map[string]any{"protocol": "http", "proxy_protocol": version})).quiet()
			m := p.policy.claim.entry.pool.Members()
			if version == "v1" {
				if r := p.policy.ping(t.Context(), m[0]); r.Err != nil || r.Status != 200 {
					t.Fatalf("got %+v", r)
				}
				if head := <-heads; !strings.HasPrefix(head, own) {
					t.Errorf("the ping came from %q", head)
				}
			}
			p.policy.warm(m)
			if n := len(p.policy.warmers.all); n != 0 {
				t.Errorf("%d connections are held", n)
			}
		})
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
	eventually(t, "the backend is back", func() bool {
		got := p.do("GET", "", "X-Name", "one.test")
		return got.status == 200 && got.body == "one.test"
	})
	p.policy.warm(p.policy.claim.entry.pool.Members())
	if n := len(p.policy.warmers.all); n != 0 {
		t.Errorf("%d connections are held", n)
	}
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
	eventually(t, "the backend is back", func() bool { return p.do("GET", "").status == 200 })
}

// TestDialersHaveTheirOwnVariables: a dial that outlives its attempt does not read
// what later handlers write.
func TestDialersHaveTheirOwnVariables(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	p := newProxy(t, upstreams(b.addr())).quiet()
	below := p.policy.transport.RoundTripper
	p.policy.transport.dialVars = []string{"before"}
	var dialing context.Context
	p.policy.transport.RoundTripper = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		dialing = newDialWatch(r.Context())
		return below.RoundTrip(r)
	})
	r := prepared(httptest.NewRequest("GET", "http://x/", nil), "192.0.2.1:1")
	caddyhttp.SetVar(r.Context(), "before", "here")
	caddyhttp.SetVar(r.Context(), "another", "here")
	if err := p.handler.ServeHTTP(httptest.NewRecorder(), r, nil); err != nil {
		t.Fatal(err)
	}
	caddyhttp.SetVar(r.Context(), "before", "changed")
	if got := caddyhttp.GetVar(dialing, "before"); got != "here" {
		t.Errorf("the dial does not see what was set before: %v", got)
	}
	if got := caddyhttp.GetVar(dialing, "another"); got != nil {
		t.Errorf("the dial shares the variables of the request: %v", got)
	}
	if tryOf(dialing) == nil {
		t.Error("the dial does not find its attempt")
	}
}

// TestHandshakeThatIsAbandoned: the pool may give a dial up at any moment, and a
// hang verdict may end its connection at the same time.
func TestHandshakeThatIsAbandoned(t *testing.T) {
	for range 100 {
		c, _ := pipeConn(t, true)
		abandoned, giveUp := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.backend.release(errHung)
		}()
		c.abandonOn(abandoned)
		<-ended
		giveUp()
		if err := c.reason(nil); !errors.Is(err, errHung) {
			t.Fatalf("the reason is %v", err)
		}
	}
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
