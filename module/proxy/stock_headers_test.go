// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// newMirror is a backend that answers with the request's header and URL.
func newMirror(t *testing.T, name string) *backendServer {
	return newBackendServer(t, name, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Internal", "secret")
		_ = json.NewEncoder(w).Encode(mirrored{r.Method, r.URL.String(), r.Host, string(body), r.Header})
	})
}

type mirrored struct {
	Method, URL, Host, Body string
	Header                  http.Header
}

func (a clientAnswer) mirrored(t *testing.T) mirrored {
	t.Helper()
	var m mirrored
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("got %+v: %v", a, err)
	}
	return m
}

// TestHeaderOperations are made anew for each backend that is tried, with its own
// placeholders, and on the response.
func TestHeaderOperations(t *testing.T) {
	ops := with("headers", map[string]any{
		"request": map[string]any{
			"set":    map[string]any{"Host": []string{"{http.reverse_proxy.upstream.hostport}"}, "X-Upstream": []string{"{http.reverse_proxy.upstream.port}"}},
			"add":    map[string]any{"X-Via": []string{"ours"}},
			"delete": []string{"X-Drop*"},
		},
		"response": map[string]any{"set": map[string]any{"X-Answered": []string{"{http.reverse_proxy.status_code}"}}, "delete": []string{"X-Internal"}},
	})
	for name, first := range map[string]func() string{
		"refused": func() string { return deadAddress(t) },
		"lost":    func() string { return newRawBackend(t, rawRequest.swallow).addr() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newMirror(t, "b")
			p := newProxy(t, ops, upstreams(first(), b.addr()))
			a := p.do("PUT", "body", "X-Via", "theirs", "X-Dropped", "1")
			m := a.mirrored(t)
			if m.Host != b.addr() || !strings.HasSuffix(b.addr(), ":"+m.Header.Get("X-Upstream")) {
				t.Errorf("the backend was told of host %q and port %q, want its own %s", m.Host, m.Header.Get("X-Upstream"), b.addr())
			}
			if got := strings.Join(m.Header["X-Via"], " "); got != "theirs ours" || m.Header.Get("X-Dropped") != "" || m.Body != "body" {
				t.Errorf("the backend received %+v", m)
			}
			if a.header.Get("X-Answered") != "200" || a.header.Get("X-Internal") != "" {
				t.Errorf("the client received %v", a.header)
			}
		})
	}
}

// TestForwardedHeaders: hop-by-hop fields end here, and the backend learns of the
// client; nothing of ours is added.
func TestForwardedHeaders(t *testing.T) {
	var seen []string
	withAndWithout(t, func(t *testing.T, policy option) {
		b := newRawBackend(t, func(r rawRequest) bool {
			text, _ := json.Marshal(r.Header)
			return r.reply(fmt.Sprintf("HTTP/1.1 200 OK\nConnection: X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\nProxy-Authenticate: x\nX-End: 1\nContent-Length: %d\n\n%s", len(text), text))
		})
		p := newProxy(t, policy, upstreams(b.addr()))
		a := p.do("GET", "", "Connection", "X-Mine", "X-Mine", "1", "Proxy-Authorization", "x", "Te", "trailers", "X-End", "1", "X-Forwarded-For", "203.0.113.9", "Accept-Encoding", "identity")
		var h http.Header
		if err := json.Unmarshal([]byte(a.body), &h); err != nil {
			t.Fatal(err)
		}
		if h.Get("X-Mine") != "" || h.Get("Proxy-Authorization") != "" || h.Get("Te") != "trailers" || h.Get("X-End") != "1" {
			t.Errorf("the backend received %v", h)
		}
		if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Host") == "" {
			t.Errorf("of the client the backend learnt %v", h)
		}
		if a.header.Get("X-Hop") != "" || a.header.Get("Keep-Alive") != "" || a.header.Get("Proxy-Authenticate") != "" || a.header.Get("X-End") != "1" {
			t.Errorf("the client received %v", a.header)
		}
		h.Del("X-Forwarded-Host") // has the port
		text, _ := json.Marshal(h)
		seen = append(seen, string(text))
	})
	if len(seen) == 2 && seen[0] != seen[1] {
		t.Errorf("without the policy the backend receives\n%s, with it\n%s", seen[0], seen[1])
	}
}

// TestRewriteInTheProxy: what the backend is sent decides what may be sent again.
func TestRewriteInTheProxy(t *testing.T) {
	rewrite := with("rewrite", map[string]any{"method": "GET", "uri": "/auth?from={http.request.uri.path}"})
	for name, first := range map[string]func() string{
		"first":   func() string { return newMirror(t, "a").addr() },
		"refused": func() string { return deadAddress(t) },
		"lost":    func() string { return newRawBackend(t, rawRequest.swallow).addr() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, rewrite, upstreams(first(), newMirror(t, "b").addr()))
			m := p.do("POST", "body").mirrored(t)
			if m.Method != "GET" || m.URL != "/auth?from=%2Fpath" || m.Body != "" {
				t.Errorf("the backend received %+v", m)
			}
			p.nothingLeft()
		})
	}
}

// TestHandleResponse: routes and statuses for responses work, and a response that
// nobody reads leaves nothing behind.
func TestHandleResponse(t *testing.T) {
	on := func(rest map[string]any) option {
		rest["match"] = map[string]any{"status_code": []int{4}}
		return with("handle_response", []any{rest})
	}
	routes := func(handlers ...map[string]any) map[string]any {
		return map[string]any{"routes": []any{map[string]any{"handle": handlers}}}
	}
	for _, tc := range []struct {
		name   string
		handle map[string]any
		status int
		body   string
	}{
		{"status", map[string]any{"status_code": 299}, 299, "b"},
		{"status of a header", map[string]any{"status_code": "{http.reverse_proxy.header.X-Status}"}, 298, "b"},
		{"status that is none", map[string]any{"status_code": "{http.reverse_proxy.header.X-Backend}"}, 500, ""},
		{"another answer", routes(map[string]any{"handler": "static_response", "status_code": 297, "body": "was {http.reverse_proxy.status_code}"}), 297, "was 404"},
		{"copied", routes(map[string]any{"handler": "copy_response", "status_code": 296}), 296, "b"},
		{"header copied", routes(map[string]any{"handler": "copy_response_headers", "include": []string{"X-Status"}}, map[string]any{"handler": "static_response", "body": "mine"}), 200, "mine"},
		{"error of a route", routes(map[string]any{"handler": "error", "status_code": 418}), 418, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				b := newBackendServer(t, "b", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("X-Status", "298")
					w.WriteHeader(404)
					_, _ = io.WriteString(w, "b")
				})
				p := newProxy(t, policy, on(tc.handle), upstreams(b.addr()))
				for range 3 {
					a := p.do("POST", "body")
					if a.status != tc.status || tc.body != "" && a.body != tc.body {
						t.Errorf("got %+v, want %d and %q", a, tc.status, tc.body)
					}
				}
				if n := b.count.Load(); n != 3 {
					t.Errorf("executed %d times, want 3", n)
				}
				p.nothingLeft()
			})
		})
	}
}

// TestWebSocketHeaders keep the spelling that some servers insist on, and an
// upgrade that the backend refuses is an answer.
func TestWebSocketHeaders(t *testing.T) {
	withAndWithout(t, func(t *testing.T, policy option) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		head := make(chan string, 1)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				br := bufio.NewReader(c)
				var text strings.Builder
				for line := ""; err == nil && line != "\r\n"; {
					line, err = br.ReadString('\n')
					text.WriteString(line)
				}
				if strings.HasPrefix(text.String(), "GET") {
					head <- text.String()
				}
				_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
				_ = c.Close()
			}
		}()
		p := newProxy(t, policy, upstreams(l.Addr().String()), with("headers", map[string]any{"request": map[string]any{"add": map[string]any{"X-Add": []string{"1"}}}}))
		a := p.do("GET", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Key", "k", "Sec-Websocket-Other", "o")
		if a.status != 403 || a.body != "no" {
			t.Errorf("got %+v", a)
		}
		got := <-head
		for _, want := range []string{"Sec-WebSocket-Key: k", "Sec-Websocket-Other: o", "Upgrade: websocket", "Connection: Upgrade"} {
			if !strings.Contains(got, want+"\r\n") {
				t.Errorf("the backend received %q without %q", got, want)
			}
		}
		p.nothingLeft()
	})
}
