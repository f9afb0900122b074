// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// TestFaultsOfTheOnlyBackend: what a client is told when there is nothing else
// to try.
func TestFaultsOfTheOnlyBackend(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, tc := range []struct {
		name    string
		serve   func(r rawRequest) bool
		method  string
		options []option
		status  int
		want    string
	}{
		{
			name: "closes after reading", serve: swallow, method: "GET",
			status: 502, want: `caddy-broker; error=connection_terminated`,
		},
		{
			name: "resets after reading", serve: rawRequest.reset, method: "POST",
			status: 502, want: `caddy-broker; error=connection_terminated; details="in-doubt"`,
		},
		{
			name: "garbage", method: "GET",
			serve:  func(r rawRequest) bool { r.reply("SSH-2.0-OpenSSH_9.2\n"); return false },
			status: 502, want: `caddy-broker; error=http_protocol_error`,
		},
		{
			name: "garbage to a POST", method: "POST",
			serve:  func(r rawRequest) bool { r.reply("\x00\x01\x02\x03\n\n"); return false },
			status: 502, want: `caddy-broker; error=http_protocol_error; details="in-doubt"`,
		},
		{
			name: "closes within the header", method: "GET",
			serve:  func(r rawRequest) bool { r.reply("HTTP/1.1 200 OK\nContent-Length: 2\n"); return false },
			status: 502, want: `caddy-broker; error=connection_terminated`,
		},
		{
			name: "huge header", method: "GET",
			serve: func(r rawRequest) bool {
				r.reply("HTTP/1.1 200 OK\nX-Huge: " + strings.Repeat("x", 64<<10) + "\n\n")
				return false
			},
			options: []option{with("transport", map[string]any{"protocol": "http", "max_response_header_size": 4096})},
			status:  502, want: `caddy-broker; error=http_response_header_section_size`,
		},
		{
			name: "no answer within so_timeout", method: "POST",
			serve:   func(r rawRequest) bool { _, _ = io.Copy(io.Discard, r.conn); return false },
			options: []option{set("nested", map[string]any{"so_timeout": "50ms"})},
			status:  504, want: `caddy-broker; error=http_response_timeout; details="in-doubt"`,
		},
		{
			name: "no answer within response_header_timeout", method: "GET",
			serve:   func(r rawRequest) bool { _, _ = io.Copy(io.Discard, r.conn); return false },
			options: []option{with("transport", map[string]any{"protocol": "http", "response_header_timeout": "50ms"})},
			status:  504, want: `caddy-broker; error=http_response_timeout`,
		},
		{
			name: "no answer within read_timeout", method: "GET",
			serve:   func(r rawRequest) bool { _, _ = io.Copy(io.Discard, r.conn); return false },
			options: []option{with("transport", map[string]any{"protocol": "http", "read_timeout": "50ms"})},
			status:  504, want: `caddy-broker; error=connection_read_timeout`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newRawBackend(t, tc.serve)
			p := newProxy(t, append(tc.options, upstreams(b.addr()), set("max_reconnect_attempts", 0))...)
			wantStatus(t, p.do(tc.method, ""), tc.status, tc.want, false)
			if n := b.seen.Load(); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
		})
	}
}

// TestDialFaultsOfTheOnlyBackend: nothing was written, so nothing is in doubt.
func TestDialFaultsOfTheOnlyBackend(t *testing.T) {
	t.Parallel()                                  // it waits, and its pool is its own
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	plain := newBackendServer(t, "plain", nil)
	tls := with("transport", map[string]any{"protocol": "http", "tls": map[string]any{}})
	for _, tc := range []struct {
		name    string
		options []option
		status  int
		want    string
	}{
		{
			"refused",
			[]option{upstreams(deadAddress(t))},
			502, `caddy-broker; error=connection_refused`,
		},
		{
			"unknown name",
			[]option{upstreams("no-such-host.invalid:80")},
			502, `caddy-broker; error=dns_error`,
		},
		{
			"no socket",
			[]option{upstreams("unix/" + t.TempDir() + "/none.sock")},
			502, `caddy-broker; error=connection_refused`,
		},
		{
			"handshake never ends",
			[]option{tls, upstreams(hole.Addr().String()), set("nested", map[string]any{"connection_timeout": "100ms"})},
			504, `caddy-broker; error=connection_timeout`,
		},
		{
			"no TLS there",
			[]option{tls, upstreams(plain.addr())},
			502, `caddy-broker; error=tls_protocol_error`,
		},
		{
			"named proxy",
			[]option{upstreams(deadAddress(t)), with("proxy_status_name", "my proxy")},
			502, `"my proxy"; error=connection_refused`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProxy(t, append(tc.options, set("max_reconnect_attempts", 0))...).quiet()
			wantStatus(t, p.do("POST", "body"), tc.status, tc.want, false)
		})
	}
}

// TestResponseThatBreaksOff: the response had begun, so it is not repeated, and
// the client sees that it is not whole.
func TestResponseThatBreaksOff(t *testing.T) {
	for name, reply := range map[string]string{
		"length":  "HTTP/1.1 200 OK\nContent-Length: 100\n\nhalf",
		"chunked": "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n",
	} {
		t.Run(name, func(t *testing.T) {
			bad := newRawBackend(t, func(r rawRequest) bool { r.reply(reply); return r.reset() })
			good := newBackendServer(t, "good", nil)
			p := newProxy(t, upstreams(bad.addr(), good.addr()))
			res, err := p.Client().Get(p.URL)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if err == nil {
				t.Error("the client got a whole response")
			}
			if good.count.Load() != 0 {
				t.Error("a response that had begun was repeated")
			}
			testwait.Until(t, "the place on the backend is free", func() bool {
				return p.policy.claim.entry.pool.Status().Upstreams[0].Requests == 0
			})
		})
	}
}

// TestInformationalResponsesAreNotTheResponse: after a 103 the request may still
// be sent again.
func TestInformationalResponsesAreNotTheResponse(t *testing.T) {
	bad := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\n")
		return false
	})
	good := newBackendServer(t, "good", nil)
	p := newProxy(t, upstreams(bad.addr(), good.addr()))
	if a := p.do("GET", ""); a.status != 200 || a.header.Get("X-Backend") != "good" {
		t.Errorf("got %+v, want the second backend's answer", a)
	}
	a := p.do("POST", "x")
	if a.status != 502 && a.header.Get("X-Backend") != "good" {
		t.Errorf("got %+v, want an error in doubt", a)
	}
}

// TestEarlyAnswerToAnUpload: a backend that refuses an upload answers, and closes
// while the client is still sending.
func TestEarlyAnswerToAnUpload(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 413 Content Too Large\nContent-Length: 7\nConnection: close\n\ntoo big")
		return false
	})
	p := newProxy(t, upstreams(b.addr()))
	body := strings.Repeat("x", 4<<20)
	for i := range 20 {
		req, err := http.NewRequest(http.MethodPost, p.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue") // so that the test's own client does not lose the answer
		if i%2 == 1 {
			req.ContentLength = -1
		}
		res, err := p.Client().Do(req)
		if err != nil {
			continue // the client's own race: it was still sending when it was answered
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("upload %d: got %d %s, want 413", i, res.StatusCode, text)
		}
	}
	if n := p.errors.Load(); n != 0 {
		t.Errorf("%d of 20 answers were lost", n)
	}
	if n := b.seen.Load(); n != 20 {
		t.Errorf("sent %d times, want 20", n)
	}
}

// TestSlowBackendIsLeftAlone: limits of dialling do not apply to answering.
func TestSlowBackendIsLeftAlone(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		<-time.After(100 * time.Millisecond) // what is slow takes time
		return r.ok()
	})
	p := newProxy(t, upstreams(b.addr()), set("nested", map[string]any{"connection_timeout": "50ms"}))
	if a := p.do("GET", ""); a.status != 200 {
		t.Errorf("got %+v: connection_timeout is over once there is a connection", a)
	}
}

// TestStaleConnectionIsNotUsed: the backend says that it closes idle connections
// after a second, which is all the margin there is.
func TestStaleConnectionIsNotUsed(t *testing.T) {
	for _, method := range []string{"GET", "PUT"} {
		t.Run(method, func(t *testing.T) {
			b := newRawBackend(t, func(r rawRequest) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				return r.reply("HTTP/1.1 200 OK\nKeep-Alive: timeout=1, max=100\nContent-Length: 2\n\nok")
			})
			p := newProxy(t, upstreams(b.addr()))
			for range 5 {
				if a := p.do(method, "x"); a.status != 200 {
					t.Errorf("got %+v", a)
				}
			}
			if c, n := b.conns.Load(), b.seen.Load(); c != 5 || n != 5 {
				t.Errorf("%d requests on %d connections, want a new one for each of 5", n, c)
			}
		})
	}
}

func TestStale(t *testing.T) {
	for _, tc := range []struct {
		name       string
		promise    proof
		advertised time.Duration
		fresh      bool
		reused     bool
		idle       time.Duration
		want       bool
	}{
		{name: "new"},
		{name: "just idle", reused: true, idle: 1},
		{name: "unsafe, 0.9 s", reused: true, idle: 900 * time.Millisecond},
		{name: "unsafe, 1.1 s", reused: true, idle: 1100 * time.Millisecond, want: true},
		{name: "unsafe, 1.1 s, advertised 60 s", reused: true, advertised: time.Minute, idle: 1100 * time.Millisecond, want: true},
		{name: "safe, 1.1 s", promise: proofIdempotent, reused: true, idle: 1100 * time.Millisecond},
		{name: "safe, 3.9 s", promise: proofIdempotent, reused: true, idle: 3900 * time.Millisecond},
		{name: "safe, 4.1 s", promise: proofIdempotent, reused: true, idle: 4100 * time.Millisecond, want: true},
		{name: "safe, 4.1 s, advertised 60 s", promise: proofIdempotent, reused: true, advertised: time.Minute, idle: 4100 * time.Millisecond},
		{name: "safe, 60 s, advertised 60 s", promise: proofIdempotent, reused: true, advertised: time.Minute, idle: time.Minute, want: true},
		{name: "safe, 1.1 s, advertised 2 s", promise: proofIdempotent, reused: true, advertised: 2 * time.Second, idle: 1100 * time.Millisecond, want: true},
		{name: "reattachment", promise: proofIdempotent, fresh: true, reused: true, idle: 1, want: true},
		{name: "reattachment, new", promise: proofIdempotent, fresh: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ex := &exchange{promise: tc.promise}
			tr := &try{Errand: reach.Errand{Fresh: tc.fresh}, ex: ex, reused: tc.reused}
			c := new(reach.Conn)
			if tc.advertised > 0 {
				c.Hear(http.Header{"Keep-Alive": {fmt.Sprintf("max=9, timeout=%d", int(tc.advertised.Seconds()))}})
			}
			got := tr.stale(c, httptrace.GotConnInfo{Reused: tc.reused, WasIdle: tc.idle > 0, IdleTime: tc.idle})
			if got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

// TestIdleConnIsNoNewOne: net/http keeps connections that it has opened and not
// used; their end says as little as that of one which was.
func TestIdleConnIsNoNewOne(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave() // nothing is written, and no pool is asked
	run, err := http.NewRequestWithContext(left, "GET", "http://backend/", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBackendServer(t, "b", nil)
	policy := newProxy(t, upstreams(b.addr())).policy
	for _, info := range []httptrace.GotConnInfo{{}, {WasIdle: true}, {Reused: true}} {
		line, err := policy.way.Open(t.Context(), policy.claim.entry.pool.Members()[0], "/")
		if err != nil {
			t.Fatal(err)
		}
		defer line.Conn.Close()
		tr := &try{ex: &exchange{run: run, policy: policy}, cancel: func(error) {}}
		info.Conn = line.Conn
		tr.gotConn(info)
		if want := info.WasIdle || info.Reused; tr.idled() != want {
			t.Errorf("idle %t, reused %t: got %t, want %t", info.WasIdle, info.Reused, !want, want)
		}
	}
}
