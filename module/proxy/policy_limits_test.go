// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestNoBackendInTime: the request waits for as long as it may, and is told when
// to come back.
func TestNoBackendInTime(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, tc := range []struct {
		name    string
		options []option
	}{
		{"timeout", []option{set("timeout", "50ms")}},
		{"lb_try_duration", []option{lb("try_duration", "50ms")}},
		{"startup limit", []option{set("startup_max_reconnect_attempts", 1)}},
		{"limit", []option{set("max_reconnect_attempts", 2)}},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tc.name+" "+method, func(t *testing.T) {
				p := newProxy(t, append(tc.options, upstreams(deadAddress(t), deadAddress(t)))...)
				a := p.do(method, "body")
				wantStatus(t, a, 503, `caddy-broker; error=destination_unavailable`, true)
				if s, err := strconv.Atoi(a.header.Get(proxystatus.RetryAfterHeader)); err != nil || s < 1 || s > 120 {
					t.Errorf("Retry-After %q, want a number of seconds", a.header.Get(proxystatus.RetryAfterHeader))
				}
			})
		}
	}
}

// TestWaitingRequestIsServed: nobody serves, requests wait, and the first backend
// to return serves them.
func TestWaitingRequestIsServed(t *testing.T) {
	address := deadAddress(t)
	p := newProxy(t, upstreams(address, deadAddress(t)))
	const clients = 8
	done := make(chan clientAnswer, clients)
	for range clients {
		go func() { done <- p.do(http.MethodPost, "body") }()
	}
	testwait.Until(t, "all wait", func() bool { return p.policy.claim.entry.pool.Status().Waiting == clients })
	l := revive(t, address)
	b := startRawBackend(t, l, rawRequest.ok)
	for range clients {
		if a := <-done; a.status != 200 {
			t.Errorf("got %+v, want 200", a)
		}
	}
	if n := b.seen.Load(); n != clients {
		t.Errorf("executed %d times, want %d", n, clients)
	}
}

// TestDrainedPool answers at once.
func TestDrainedPool(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	p := newProxy(t, upstreams(b.addr()))
	if a := p.do("GET", ""); a.status != 200 {
		t.Fatalf("got %+v", a)
	}
	u, err := address.ParseDial(b.addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := pools.drain(p.policy.claim.entry, u, true); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, p.do("GET", ""), 503, `caddy-broker; error=destination_unavailable`, true)
}

// TestWaitingClientsThatLeave: they are gone at once and never written, also those
// whose body nobody has read, where net/http does not notice.
func TestWaitingClientsThatLeave(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, tc := range []struct{ name, head string }{
		{"GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"POST with body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"},
		{"POST with half a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nbody"},
		{"chunked POST", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address := deadAddress(t)
			p := newProxy(t, upstreams(address))
			const clients = 20
			var open []net.Conn
			for range clients {
				c, err := net.Dial("tcp", p.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, tc.head); err != nil {
					t.Fatal(err)
				}
				open = append(open, c)
			}
			waiting := func() int { return p.policy.claim.entry.pool.Status().Waiting }
			testwait.Until(t, "all wait", func() bool { return waiting() == clients })
			for _, c := range open {
				_ = c.Close()
			}
			testwait.Until(t, "none waits", func() bool { return waiting() == 0 })
			l := revive(t, address)
			b := startRawBackend(t, l, rawRequest.ok)
			if a := p.do("GET", ""); a.status != 200 {
				t.Errorf("got %+v", a)
			}
			if n := b.seen.Load(); n != 1 {
				t.Errorf("%d requests were written whose clients had left", n-1)
			}
		})
	}
}

// TestClientLeavesDuringTheAttempt: the backend is not to blame, and nobody else
// gets the request.
func TestClientLeavesDuringTheAttempt(t *testing.T) {
	got := make(chan struct{})
	b := newRawBackend(t, func(r rawRequest) bool {
		close(got)
		_, _ = io.Copy(io.Discard, r.conn)
		return false
	})
	good := newBackendServer(t, "good", nil)
	p := newProxy(t, upstreams(b.addr(), good.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-got
	_ = c.Close()
	pool := p.policy.claim.entry.pool
	testwait.Until(t, "the attempt has ended", func() bool {
		return pool.Stats().Upstreams[0].Attempts[report.Neutral] == 1
	})
	if s := pool.Status().Upstreams[0].State; s != "up" {
		t.Errorf("the backend is %s, want up", s)
	}
	if good.count.Load() != 0 {
		t.Error("the request of a client that left was sent on")
	}
}

// TestBodyThatCannotBeRead: the client's fault, never sent again, and no mark on
// the backend.
func TestBodyThatCannotBeRead(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	other := newBackendServer(t, "other", nil)
	p := newProxy(t, upstreams(b.addr(), other.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "PUT /path HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nzz\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 400 || res.Header.Get(proxystatus.Header) != `caddy-broker; error=http_request_error; details="in-doubt"` {
		t.Errorf("got %d, Proxy-Status %q", res.StatusCode, res.Header.Get(proxystatus.Header))
	}
	wantDoubt(t, p, "PUT", b.addr())
	if n := other.count.Load(); n != 0 {
		t.Errorf("sent again %d times", n)
	}
	if s := p.policy.claim.entry.pool.Status().Upstreams[0].State; s != "up" {
		t.Errorf("the backend is %s, want up", s)
	}
}

// TestHungBackend: a hang verdict releases what is blocked; only what is safe is
// moved, the rest may be executed when the backend goes on.
func TestHungBackend(t *testing.T) {
	for _, tc := range []struct {
		method string
		header []string
		status int
	}{
		{"GET", nil, 200},
		{"HEAD", nil, 200},
		{"PUT", nil, 504},
		{"DELETE", nil, 504},
		{"POST", []string{"Idempotency-Key", "1"}, 504},
	} {
		t.Run(tc.method, func(t *testing.T) {
			got := make(chan struct{})
			b := newRawBackend(t, func(r rawRequest) bool {
				close(got)
				_, _ = io.Copy(io.Discard, r.conn)
				return false
			})
			good := newBackendServer(t, "good", nil)
			p := newProxy(t, upstreams(b.addr(), good.addr()), set("track_messages", true))
			done := make(chan clientAnswer, 1)
			go func() { done <- p.do(tc.method, "", tc.header...) }()
			<-got
			m := p.policy.claim.entry.pool.Members()[0]
			(&carrier{p.policy.claim.entry, pools}).Release(m)
			a := <-done
			if tc.status == 200 {
				if a.status != 200 || a.header.Get("X-Backend") != "good" {
					t.Errorf("got %+v, want the second backend's answer", a)
				}
				return
			}
			wantStatus(t, a, 504, `caddy-broker; error=http_response_timeout; details="in-doubt"`, false)
			if n := good.count.Load(); n != 0 {
				t.Errorf("sent again %d times", n)
			}
		})
	}
}

// TestDeadBackendsDoNotSpin: however the handler is configured, Caddy asks the
// policy about as often as there are backends, not for ever.
func TestDeadBackendsDoNotSpin(t *testing.T) {
	post := []any{map[string]any{"method": []string{"POST"}}}
	always := []any{map[string]any{"expression": "{http.reverse_proxy.status_code} == 503 || {http.reverse_proxy.is_transport_error} == true"}}
	for name, options := range map[string][]option{
		"plain":                 nil,
		"lb_retries":            {lb("retries", 1000000)},
		"lb_try_duration":       {lb("try_duration", "200ms")},
		"lb_try_interval":       {lb("try_interval", "1ms")},
		"retry_match":           {lb("retry_match", post)},
		"retry_match responses": {lb("retry_match", always)},
		"passive":               {with("health_checks", map[string]any{"passive": map[string]any{"fail_duration": "10s"}})},
		"no failover":           {set("max_reconnect_attempts", 0)},
		"request affinity":      {set("affinity", "request"), set("randomize", true)},
	} {
		for kind, address := range map[string]func() string{
			"refuse": func() string { return deadAddress(t) },
			"close":  func() string { return newRawBackend(t, swallow).addr() },
			"503": func() string {
				return newBackendServer(t, "x", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }).addr()
			},
		} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(name+" "+kind+" "+method, func(t *testing.T) {
					t.Parallel()
					p := newProxy(t, append(options, set("timeout", "300ms"), upstreams(address(), address(), address(), address()))...)
					began := time.Now()
					a := p.do(method, "body")
					if a.status < 500 {
						t.Errorf("got %+v, want an error", a)
					}
					if d := time.Since(began); d > 10*time.Second {
						t.Errorf("took %s", d)
					}
					if n := p.asked.Load(); n > 30 {
						t.Errorf("Caddy asked the policy %d times", n)
					}
				})
			}
		}
	}
}

// TestWrittenToThreeBackendsAtMost, and to each at most once; to two only, if those
// answer their pings: then it is the request.
func TestWrittenToThreeBackendsAtMost(t *testing.T) {
	for name, tc := range map[string]struct {
		deaf bool
		want int64
	}{"pings are answered": {false, 2}, "pings end like requests": {true, 3}} {
		t.Run(name, func(t *testing.T) {
			var backends []*rawBackend
			var addresses []string
			for range 6 {
				b := newRawBackend(t, rawRequest.reset)
				backends, addresses = append(backends, b), append(addresses, b.addr())
			}
			p := newProxy(t, upstreams(addresses...))
			p.policy.activate()
			for _, b := range backends {
				testwait.Until(t, "first ping", func() bool { return b.pings.Load() > 0 })
				b.deaf.Store(tc.deaf)
			}
			wantStatus(t, p.do("GET", ""), 502, `caddy-broker; error=connection_terminated`, false)
			var sum int64
			for _, b := range backends {
				n := b.seen.Load()
				if sum += n; n > 1 {
					t.Errorf("a backend got it %d times", n)
				}
			}
			if sum != tc.want {
				t.Errorf("written %d times, want %d", sum, tc.want)
			}
		})
	}
}

// TestRetriesLimit: lb_retries limits how often a request goes on.
func TestRetriesLimit(t *testing.T) {
	dead := []string{deadAddress(t), deadAddress(t), deadAddress(t)}
	good := newBackendServer(t, "good", nil)
	p := newProxy(t, upstreams(append(dead, good.addr())...), lb("retries", 2)).quiet()
	wantStatus(t, p.do("GET", ""), 502, `caddy-broker; error=connection_refused`, false)
	if n := p.asked.Load(); n != 3 {
		t.Errorf("tried %d times, want once and two retries", n)
	}
}

// TestRestartUnderAKeptConnection: the only backend is restarted while a safe request
// is on its way on a kept connection. It waits, as one that comes a moment later, and
// is sent once more on a new connection.
func TestRestartUnderAKeptConnection(t *testing.T) {
	l := proxytest.ListenAgain(t)
	address := l.Addr().String()
	gone := make(chan struct{})
	b := startRawBackend(t, l, func(r rawRequest) bool {
		if r.nth == 1 {
			return r.ok()
		}
		_ = l.Close()
		close(gone)
		return false
	})
	p := newProxy(t, upstreams(address), set("timeout", "20s")).start()
	if a := p.do("GET", ""); a.status != 200 {
		t.Fatalf("got %+v", a)
	}
	answer := make(chan clientAnswer, 1)
	go func() { answer <- p.do("GET", "") }()
	<-gone
	testwait.Until(t, "it waits", func() bool { return p.pool().Status().Waiting == 1 })
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	next := startRawBackend(t, l, rawRequest.ok)
	if a := <-answer; a.status != 200 || b.seen.Load() != 2 || next.seen.Load() != 1 {
		t.Errorf("got %+v, sent %d times before and %d times after", a, b.seen.Load()-1, next.seen.Load())
	}
}
