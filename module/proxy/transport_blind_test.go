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
	"net/http/fcgi"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// fcgiBackend serves FastCGI and counts what is no ping.
type fcgiBackend struct {
	net.Listener
	count atomic.Int64
	stuck atomic.Pointer[chan struct{}] // until it is closed nothing is answered
}

func newFCGIBackend(t *testing.T, name string) *fcgiBackend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &fcgiBackend{Listener: l}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if stuck := b.stuck.Load(); stuck != nil {
				<-*stuck
			}
			if r.Method != http.MethodOptions {
				b.count.Add(1)
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, name+string(body))
		}))
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	return b
}

func (b *fcgiBackend) addr() string { return b.Addr().String() }

func fastCGI(settings ...any) option {
	transport := map[string]any{"protocol": "fastcgi"}
	for i := 0; i < len(settings); i += 2 {
		transport[settings[i].(string)] = settings[i+1]
	}
	return with("transport", transport)
}

// TestTransportAnswersItself: what FastCGI refuses by itself is Caddy's answer, and
// nothing that a backend could be blamed for, however often a client asks for it.
func TestTransportAnswersItself(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		transport  option
		status     int
	}{
		{"NUL in the path", "GET /a%00b HTTP/1.1\nHost: x\n\n", fastCGI(), 400},
		{"body without a length", "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n1388\n" + strings.Repeat("x", 5000) + "\n0\n\n", fastCGI(), 411},
		{"no root folder", "GET / HTTP/1.1\nHost: x\n\n", fastCGI("root", "/nowhere/at/all", "resolve_root_symlink", true), 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := newFCGIBackend(t, "a"), newFCGIBackend(t, "b")
			p := newProxy(t, tc.transport, upstreams(a.addr(), b.addr())).quiet()
			for range 4 {
				got := p.raw(tc.text)
				if got.status != tc.status || strings.Contains(got.header.Get("Proxy-Status"), proxystatus.InDoubt) {
					t.Errorf("got %d %v, want %d, not in doubt", got.status, got.header, tc.status)
				}
			}
			p.wantBlameless(4)
			if n := a.count.Load() + b.count.Load(); n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

// TestHungFastCGI: a backend that takes connections and answers nothing is found,
// and what is blocked on it is moved where that is safe.
func TestHungFastCGI(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	a, b := newFCGIBackend(t, "a"), newFCGIBackend(t, "b")
	p := newProxy(t, fastCGI(), with("request_buffers", 4096), upstreams(a.addr(), b.addr()), set("nested", map[string]any{"max_inactivity_duration": "300ms"}))
	if got := p.do("GET", ""); got.body != "a" {
		t.Fatalf("first: %+v", got)
	}
	stuck := make(chan struct{})
	a.stuck.Store(&stuck)
	defer close(stuck)
	if got := p.do("GET", "held"); got.status != 200 || got.body != "bheld" {
		t.Errorf("got %+v, want the answer of the other", got)
	}
	if s := p.policy.claim.entry.pool.Status().Upstreams[0].State; s != "down" {
		t.Errorf("the hung backend is %s", s)
	}
	backend := p.policy.way.Backend(p.policy.claim.entry.pool.Members()[0])
	for range 3 { // one goroutine stands for all that is asked
		if r := p.policy.way.Ping(expired(t), backend.Member); !r.Unanswered {
			t.Errorf("got %+v, want no answer", r)
		}
	}
}

// TestFastCGIComesBack: a ping is answered as a request is.
func TestFastCGIComesBack(t *testing.T) {
	a := newFCGIBackend(t, "a")
	p := newProxy(t, fastCGI(), upstreams(a.addr())).quiet()
	m := p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.way.Ping(t.Context(), m); r.Err != nil || r.Status != 200 {
		t.Errorf("got %+v", r)
	}
	_ = a.Close()
	if r := p.policy.way.Ping(t.Context(), m); r.Err == nil || !r.Refused || r.Neutral {
		t.Errorf("got %+v, want a refusal", r)
	}
}

// TestHTTP3ComesBack: a backend that speaks HTTP/3 alone is found again.
func TestHTTP3ComesBack(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	p := newProxy(t, upstreams(address), set("timeout", "200ms"), with("transport", map[string]any{
		"protocol": "http", "versions": []string{"3"}, "tls": map[string]any{"insecure_skip_verify": true},
	})).quiet()
	m := p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.way.Ping(expired(t), m); r.Err == nil || r.Neutral {
		t.Errorf("before it answers: %+v", r)
	}
	_ = pc.Close()
	if pc, err = net.ListenPacket("udp", address); err != nil {
		t.Fatal(err)
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	serveHTTP3(t, pc, certificate.TLS.Certificates, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.RequestURI == "*" {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	var last report.PingResult
	testwait.Until(t, "a ping is answered", func() bool {
		last = p.policy.way.Ping(t.Context(), m)
		return last.Err == nil
	})
	if last.Status != http.StatusNoContent {
		t.Errorf("got %+v", last)
	}
	if got := p.do("POST", "body"); got.status != 200 {
		t.Errorf("got %+v", got)
	}
}

// TestHTTP3WithoutAConnection: a handshake that fails has written nothing, so the
// next backend gets the request, whatever its method; one that HTTP does not allow
// takes no backend down.
func TestHTTP3WithoutAConnection(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	other, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: certificate.TLS.Certificates, NextProtos: []string{"other"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var executed atomic.Int64
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP3(t, pc, certificate.TLS.Certificates, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			executed.Add(1)
		}
		_, _ = io.Copy(w, r.Body)
	})
	p := newProxy(t, upstreams(other.Addr().String(), pc.LocalAddr().String()),
		with("transport", map[string]any{
			"protocol": "http", "versions": []string{"3"}, "tls": map[string]any{"insecure_skip_verify": true},
		})).quiet()
	if a := p.do("POST", "order"); a.status != 200 || a.body != "order" || executed.Load() != 1 {
		t.Errorf("got %+v, executed %d times", a, executed.Load())
	}
	if st := p.policy.claim.entry.pool.Status(); st.Upstreams[0].State != "down" || st.Upstreams[1].State != "up" {
		t.Errorf("the backends are %s and %s", st.Upstreams[0].State, st.Upstreams[1].State)
	}
	r := prepared(httptest.NewRequest("POST", "http://x/", strings.NewReader("order")), "192.0.2.1:1")
	r.Method = "NOT ONE"
	var answer caddyhttp.HandlerError
	if err := p.handler.ServeHTTP(httptest.NewRecorder(), r, nil); !errors.As(err, &answer) || answer.StatusCode != 502 {
		t.Errorf("got %v", err)
	}
	if st := p.policy.claim.entry.pool.Status(); st.Upstreams[1].State != "up" || executed.Load() != 1 {
		t.Errorf("the backend is %s, executed %d times", st.Upstreams[1].State, executed.Load())
	}
}

// serveHTTP3 serves HTTP/3 alone until the test ends.
func serveHTTP3(t *testing.T, pc net.PacketConn, certificates []tls.Certificate, handler http.HandlerFunc) {
	t.Helper()
	srv := &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: certificates})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(pc)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		_ = pc.Close()
		<-served
	})
}

// TestPingIsNotToBlame: a transport that cannot carry a ping says nothing about the
// backend.
func TestPingIsNotToBlame(t *testing.T) {
	for name, roundTrip := range map[string]roundTripFunc{
		"panics":         func(*http.Request) (*http.Response, error) { panic("no site") },
		"answers itself": func(*http.Request) (*http.Response, error) { return nil, caddyhttp.Error(403, errors.New("no")) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, upstreams(deadAddress(t))).quiet()
			p.through(roundTrip)
			if r := p.policy.way.Ping(t.Context(), p.policy.claim.entry.pool.Members()[0]); !r.Neutral {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestTransportThatOutlivesItsRequest reads nothing more of it.
func TestTransportThatOutlivesItsRequest(t *testing.T) {
	s := &severable{body: io.NopCloser(strings.NewReader("one two"))}
	var three [3]byte
	if _, err := io.ReadFull(s, three[:]); err != nil {
		t.Fatal(err)
	}
	s.sever()
	if n, err := s.Read(three[:]); n != 0 || !errors.Is(err, errBodyDetached) {
		t.Errorf("read %d, %v", n, err)
	}
}

// expired is a context that leaves a moment.
func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
