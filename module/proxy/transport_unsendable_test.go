// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// raw sends text as a request of its own connection and reads the answer.
func (p *proxy) raw(text string) clientAnswer {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		p.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return clientAnswer{res.StatusCode, res.Header, string(b)}
}

// wantBlameless checks that every backend is up and that Caddy asked n times.
func (p *proxy) wantBlameless(n int64) {
	p.t.Helper()
	for _, u := range p.policy.claim.entry.pool.Status().Upstreams {
		if u.State != "up" {
			p.t.Errorf("%s is %s, want up", u.URI, u.State)
		}
	}
	if got := p.asked.Load(); got != n {
		p.t.Errorf("asked for a backend %d times, want %d", got, n)
	}
}

// TestRequestThatNetHTTPRefuses: what cannot be sent at all is answered at once,
// and blames nobody.
func TestRequestThatNetHTTPRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		options    []option
	}{
		{name: "bad trailer", text: "GET / HTTP/1.1\nHost: x\nTrailer: foo bar\nTransfer-Encoding: chunked\n\n0\n\n"},
		{
			name: "bad header of the operator", text: "GET / HTTP/1.1\nHost: x\n\n",
			options: []option{with("headers", map[string]any{"request": map[string]any{"set": map[string]any{"X-Bad": []string{"a\nb"}}}})},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := newBackendServer(t, "a", nil), newBackendServer(t, "b", nil)
			p := newProxy(t, append(tc.options, upstreams(a.addr(), b.addr()))...).quiet()
			wantStatus(t, p.raw(tc.text), 502, `caddy-broker; error=http_request_error`, false)
			p.wantBlameless(1)
			if n := a.count.Load() + b.count.Load(); n != 0 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// TestRequestOverTheBackendsLimit: HTTP/2 backends say how large a header they
// take. A larger one is not written, over whatever connection.
func TestRequestOverTheBackendsLimit(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			limited := func() *h2Backend {
				return newH2BackendWith(t, []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 2000}}, h2Stream.ok)
			}
			a, b := limited(), limited()
			p := newProxy(t, h2c, upstreams(a.addr(), b.addr())).quiet()
			if got := p.do(method, "body"); got.status != 200 { // from here on the limit is known
				t.Fatalf("got %+v", got)
			}
			p.asked.Store(0)
			wantStatus(t, p.do(method, "body", "X-Large", strings.Repeat("x", 4000)), 502, `caddy-broker; error=http_request_error`, false)
			p.wantBlameless(1)
			if a.seen.Load() != 1 || b.seen.Load() != 0 {
				t.Errorf("sent %d and %d times, want only the first request", a.seen.Load(), b.seen.Load())
			}
			if got := p.do(method, "body"); got.status != 200 {
				t.Errorf("the next request got %+v", got)
			}
		})
	}
}

// TestHeldBodyOnADyingConnection: Caddy holds the body, and comes with a whole one
// for the new connection.
func TestHeldBodyOnADyingConnection(t *testing.T) {
	for _, size := range []int{5, 100_000} {
		body := strings.Repeat("x", size)
		var got string
		b := newRawBackend(t, func(r rawRequest) bool {
			if r.on > 1 {
				return r.reset()
			}
			text, _ := io.ReadAll(r.Body)
			got = string(text)
			return r.ok()
		})
		other := newBackendServer(t, "other", nil)
		p := newProxy(t, with("request_buffers", 1<<20), upstreams(b.addr(), other.addr())).quiet()
		if a := p.do("PUT", body); a.status != 200 {
			t.Fatalf("first request: %+v", a)
		}
		p.asked.Store(0)
		if a := p.do("PUT", body); a.status != 200 || got != body {
			t.Errorf("got %+v, and the backend %d bytes of %d", a, len(got), size)
		}
		p.wantBlameless(2)
		if n := other.count.Load(); n != 0 {
			t.Errorf("failed over %d times", n)
		}
	}
}

// TestSoTimeoutIsFinal: also for a request that the operator allows to repeat.
func TestSoTimeoutIsFinal(t *testing.T) {
	for method, want := range map[string]string{
		"GET":  `caddy-broker; error=http_response_timeout`,
		"POST": `caddy-broker; error=http_response_timeout; details="in-doubt"`,
	} {
		b := newRawBackend(t, func(r rawRequest) bool { _, _ = io.Copy(io.Discard, r.conn); return false })
		other := newBackendServer(t, "other", nil)
		p := newProxy(t, upstreams(b.addr(), other.addr()), set("nested", map[string]any{"so_timeout": "50ms"}),
			lb("retry_match", []any{map[string]any{"method": []string{method}}}))
		wantStatus(t, p.do(method, "body"), 504, want, false)
		if n := other.count.Load(); n != 0 {
			t.Errorf("%s: sent again %d times", method, n)
		}
	}
}
