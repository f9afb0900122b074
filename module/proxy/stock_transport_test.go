// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestServerNameOfTheRequest: the name that a backend is asked for in TLS may
// depend on the request.
func TestServerNameOfTheRequest(t *testing.T) {
	for _, versions := range [][]string{{"1.1"}, {"1.1", "2"}} {
		t.Run(strings.Join(versions, " and "), func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					// HTTP/2 resets a body that is left unread, and stock closes it while it is read.
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, r.TLS.ServerName)
				}))
				b.EnableHTTP2 = true
				b.StartTLS()
				defer b.Close()
				p := newProxy(t, policy, upstreams(b.Listener.Addr().String()), with("transport", map[string]any{
					"protocol": "http", "versions": versions,
					"tls": map[string]any{"server_name": "{http.request.header.X-Name}", "insecure_skip_verify": true},
				}))
				if a := p.do("POST", "body", "X-Name", "one.test"); a.status != 200 || a.body != "one.test" {
					t.Errorf("got %+v", a)
				}
			})
		})
	}
}

// proxyHeads accepts connections that begin with a PROXY protocol header, and
// hands them on with it as the remote address.
type proxyHeads struct{ net.Listener }

type headedConn struct {
	net.Conn
	r    *bufio.Reader
	head string
}

func (c *headedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *headedConn) RemoteAddr() net.Addr { return headAddr(c.head) }

type headAddr string

func (headAddr) Network() string  { return "tcp" }
func (a headAddr) String() string { return string(a) }

func (l proxyHeads) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		line = err.Error()
	}
	return &headedConn{c, r, strings.TrimSpace(line)}, nil
}

// TestProxyProtocol: the header with the client's address comes first on each
// connection, before TLS too, and no connection serves two clients.
func TestProxyProtocol(t *testing.T) {
	for _, kind := range []string{"1.1", "h2c", "2"} {
		t.Run(kind, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, r.RemoteAddr)
				}))
				b.Listener = proxyHeads{b.Listener}
				config := map[string]any{"protocol": "http", "proxy_protocol": "v1", "versions": []string{kind}}
				switch kind {
				case "h2c":
					b.Config.Protocols = new(http.Protocols)
					b.Config.Protocols.SetUnencryptedHTTP2(true)
					b.Start()
				case "2":
					b.EnableHTTP2 = true
					b.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
					b.StartTLS()
					config["tls"] = map[string]any{"insecure_skip_verify": true}
				default:
					b.Start()
				}
				defer b.Close()
				p := newProxy(t, policy, upstreams(b.Listener.Addr().String()), with("transport", config))
				for _, client := range []string{"192.0.2.1:1001", "192.0.2.2:1002", "192.0.2.1:1001"} {
					rec := httptest.NewRecorder()
					r := prepared(httptest.NewRequest("GET", "http://x/", nil), client)
					if err := p.handler.ServeHTTP(rec, r, nil); err != nil {
						t.Fatal(err)
					}
					host, _, _ := net.SplitHostPort(client)
					if got := rec.Body.String(); !strings.HasPrefix(got, "PROXY TCP4 "+host+" ") {
						t.Errorf("the backend takes %s for %q", client, got)
					}
				}
			})
		})
	}
}

// TestResponsesAreFlushed: what a backend has sent reaches the client before the
// rest comes, for event streams always, for others with flush_interval.
func TestResponsesAreFlushed(t *testing.T) {
	for _, tc := range []struct {
		name, kind string
		options    []option
	}{
		{"event stream", "text/event-stream", nil},
		{"unknown length", "", nil},
		{"flush_interval", "text/plain", []option{with("flush_interval", -1)}},
		{"response rejected before", "text/event-stream", []option{expression("{http.reverse_proxy.status_code} == 503")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				release := make(chan struct{})
				b := newBackendServer(t, "b", func(w http.ResponseWriter, _ *http.Request) {
					if tc.kind != "" {
						w.Header().Set("Content-Type", tc.kind)
					}
					if tc.kind == "text/plain" {
						w.Header().Set("Content-Length", "10")
					}
					_, _ = io.WriteString(w, "first")
					_ = http.NewResponseController(w).Flush()
					<-release
					_, _ = io.WriteString(w, " last")
				})
				p := newProxy(t, append([]option{policy, upstreams(b.addr())}, tc.options...)...)
				res, err := p.Client().Get(p.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got := make([]byte, 5)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "first" {
					t.Errorf("got %q, %v", got, err)
				}
				close(release)
				if rest, err := io.ReadAll(res.Body); err != nil || !strings.HasSuffix(string(rest), "last") {
					t.Errorf("got %q, %v", rest, err)
				}
				p.nothingLeft()
			})
		})
	}
}

// TestBufferedResponses: with response_buffers the client gets the same.
func TestBufferedResponses(t *testing.T) {
	for _, buffers := range []int{4, 1 << 20, -1} {
		t.Run(fmt.Sprint(buffers), func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				b := newBackendServer(t, "b", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Trailer", "X-Sum")
					_, _ = io.WriteString(w, "a response of some length")
					w.Header().Set("X-Sum", "42")
				})
				p := newProxy(t, policy, upstreams(b.addr()), with("response_buffers", buffers))
				res, err := p.Client().Get(p.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil || string(body) != "a response of some length" || res.Trailer.Get("X-Sum") != "42" {
					t.Errorf("got %q, %v, trailer %v", body, err, res.Trailer)
				}
				p.nothingLeft()
			})
		})
	}
}

// TestSwitchedProtocolHeader: hop-by-hop fields of an upgrade end here, those of
// the upgrade itself pass.
func TestSwitchedProtocolHeader(t *testing.T) {
	withAndWithout(t, func(t *testing.T, policy option) {
		b := newRawBackend(t, func(r rawRequest) bool {
			return r.reply("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade, X-Hop\nX-Hop: 1\nProxy-Authenticate: x\nUpgrade: echo\nX-End: 1\n\n") && false
		})
		p := newProxy(t, policy, upstreams(b.addr()))
		c, err := net.Dial("tcp", p.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		h := res.Header
		if res.StatusCode != 101 || h.Get("Upgrade") != "echo" || h.Get("Connection") != "Upgrade" || h.Get("X-End") != "1" {
			t.Errorf("the client received %d, %v", res.StatusCode, h)
		}
		if h.Get("X-Hop") != "" || h.Get("Proxy-Authenticate") != "" {
			text, _ := json.Marshal(h)
			t.Errorf("the client received hop-by-hop fields: %s", text)
		}
		_ = c.Close()
		p.nothingLeft()
	})
}
