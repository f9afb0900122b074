// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Backend speaks just enough HTTP/2, without TLS, to answer as it is told.
type h2Backend struct {
	net.Listener
	seen  atomic.Int64 // streams with a header, pings apart
	pings atomic.Int64
	conns atomic.Int64
	wg    sync.WaitGroup
	mu    sync.Mutex
	open  []net.Conn
}

// h2Stream is a request that an h2Backend has read the header of.
type h2Stream struct {
	fr  *http2.Framer
	id  uint32
	nth int64 // of the backend, from 1
	on  int64 // its connection, from 1
	nc  net.Conn

	fields []hpack.HeaderField
}

// header is a field of the request.
func (s h2Stream) header(name string) string {
	for _, f := range s.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// ok answers with 200.
func (s h2Stream) ok() bool {
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	return s.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: buf.Bytes(), EndHeaders: true, EndStream: true,
	}) == nil
}

// readBody reads the request's body to its end.
func (s h2Stream) readBody() bool {
	for {
		f, err := s.fr.ReadFrame()
		if err != nil {
			return false
		}
		if f.Header().StreamID == s.id && f.Header().Flags.Has(http2.FlagDataEndStream) {
			return true
		}
	}
}

// refuse says by protocol that the request was not processed.
func (s h2Stream) refuse() bool {
	return s.fr.WriteRSTStream(s.id, http2.ErrCodeRefusedStream) == nil
}

// goAway says the same by ending the connection below the stream.
func (s h2Stream) goAway() bool {
	_ = s.fr.WriteGoAway(s.id-1, http2.ErrCodeNo, nil)
	return true
}

func newH2Backend(tb testing.TB, serve func(s h2Stream) bool) *h2Backend {
	tb.Helper()
	return newH2BackendWith(tb, nil, serve)
}

// newH2BackendWith begins every connection with these settings.
func newH2BackendWith(tb testing.TB, settings []http2.Setting, serve func(s h2Stream) bool) *h2Backend {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return startH2Backend(tb, l, settings, serve)
}

func startH2Backend(tb testing.TB, l net.Listener, settings []http2.Setting, serve func(s h2Stream) bool) *h2Backend {
	tb.Helper()
	b := &h2Backend{Listener: l}
	b.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open = append(b.open, c)
			b.mu.Unlock()
			b.wg.Add(1)
			go b.conn(c, settings, serve)
		}
	})
	tb.Cleanup(func() {
		_ = b.Close()
		b.mu.Lock()
		for _, c := range b.open {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.wg.Wait()
	})
	return b
}

func (b *h2Backend) conn(c net.Conn, settings []http2.Setting, serve func(s h2Stream) bool) {
	defer b.wg.Done()
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	fr := http2.NewFramer(c, c)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings(settings...)
	var on int64
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				b.pings.Add(1)
				_ = fr.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			if on == 0 {
				on = b.conns.Add(1)
			}
			if !serve(h2Stream{fr, f.StreamID, b.seen.Add(1), on, c, f.Fields}) {
				return
			}
		}
	}
}

func (b *h2Backend) addr() string { return b.Listener.Addr().String() }

var h2c = with("transport", map[string]any{"protocol": "http", "versions": []string{"h2c", "2"}})

// TestHTTP2SaysThatItDidNotProcess: by REFUSED_STREAM, or by GOAWAY below the
// stream. Such a request goes once more to the same backend, then to the next,
// whatever its method and its header.
func TestHTTP2SaysThatItDidNotProcess(t *testing.T) {
	for name, say := range map[string]func(h2Stream) bool{"refuse": h2Stream.refuse, "goaway": h2Stream.goAway} {
		for _, body := range []string{"", "body", strings.Repeat("x", 16<<10)} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(fmt.Sprintf("%s %s %d once", name, method, len(body)), func(t *testing.T) {
					b := newH2Backend(t, func(s h2Stream) bool {
						if s.nth == 1 {
							return say(s)
						}
						return s.ok()
					})
					other := newH2Backend(t, h2Stream.ok)
					p := newProxy(t, h2c, upstreams(b.addr(), other.addr()))
					a := p.do(method, body)
					if a.status != 200 || b.seen.Load() != 2 || other.seen.Load() != 0 {
						t.Errorf("got %d, sent %d times, and %d times to the other", a.status, b.seen.Load(), other.seen.Load())
					}
				})
				t.Run(fmt.Sprintf("%s %s %d always", name, method, len(body)), func(t *testing.T) {
					b := newH2Backend(t, say)
					other := newH2Backend(t, h2Stream.ok)
					p := newProxy(t, h2c, upstreams(b.addr(), other.addr()))
					a := p.do(method, body)
					if a.status != 200 || b.seen.Load() != 2 || other.seen.Load() != 1 {
						t.Errorf("got %d, sent %d times, and %d times to the other", a.status, b.seen.Load(), other.seen.Load())
					}
				})
			}
		}
		// Without its beginning it cannot be sent again, and no backend has executed it.
		t.Run(name+" too long", func(t *testing.T) {
			b := newH2Backend(t, func(s h2Stream) bool { return s.readBody() && say(s) })
			other := newH2Backend(t, h2Stream.ok)
			p := newProxy(t, h2c, upstreams(b.addr(), other.addr()))
			doubts := len(pools.ledger.List())
			wantStatus(t, p.do("POST", strings.Repeat("x", 40<<10)), 502, `caddy-broker; error=connection_terminated`, false)
			if b.seen.Load() != 1 || other.seen.Load() != 0 || len(pools.ledger.List()) != doubts {
				t.Errorf("sent %d times, and %d times to the other; %d are in doubt", b.seen.Load(), other.seen.Load(), len(pools.ledger.List())-doubts)
			}
		})
	}
}

// TestBodiesAreKeptForHTTP2Alone: a backend that turns out to speak HTTP/1 can say
// nothing for which a POST would be sent again.
func TestBodiesAreKeptForHTTP2Alone(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			var p *proxy
			kept := make(chan int64, 1)
			b := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					_, _ = io.Copy(io.Discard, r.Body)
					kept <- p.policy.claim.entry.budget.used.Load()
				}
			}))
			b.EnableHTTP2 = protocol == "h2"
			b.StartTLS()
			t.Cleanup(b.Close)
			p = newProxy(t, upstreams(b.Listener.Addr().String()),
				with("transport", map[string]any{"protocol": "http", "tls": map[string]any{"insecure_skip_verify": true}}))
			if a := p.do("POST", "body"); a.status != 200 {
				t.Fatalf("got %d", a.status)
			}
			if n := <-kept; (n > 0) != (protocol == "h2") {
				t.Errorf("%d bytes were kept", n)
			}
		})
	}
}

// TestHTTP2LossIsInDoubt: a stream or connection that just ends proves nothing.
func TestHTTP2LossIsInDoubt(t *testing.T) {
	for name, serve := range map[string]func(h2Stream) bool{
		"reset":  func(s h2Stream) bool { return s.fr.WriteRSTStream(s.id, http2.ErrCodeInternal) == nil },
		"close":  func(s h2Stream) bool { return false },
		"goaway": func(s h2Stream) bool { _ = s.fr.WriteGoAway(s.id, http2.ErrCodeNo, nil); return false },
	} {
		t.Run(name, func(t *testing.T) {
			b := newH2Backend(t, serve)
			other := newH2Backend(t, h2Stream.ok)
			p := newProxy(t, h2c, upstreams(b.addr(), other.addr()))
			wantStatus(t, p.do("POST", "body"), 502, `caddy-broker; error=connection_terminated; details="in-doubt"`, false)
			if b.seen.Load() != 1 || other.seen.Load() != 0 {
				t.Errorf("sent %d times, and %d times to the other", b.seen.Load(), other.seen.Load())
			}
			if a := p.do("GET", ""); a.status != 200 {
				t.Errorf("GET: got %+v, want the other backend's answer", a)
			}
		})
	}
}

// TestHTTP2ProtocolErrorIsInDoubt: a stream that the backend resets with
// PROTOCOL_ERROR may have been executed. Some versions of the library repeat such a
// request by themselves, as if the backend had refused it: with one of those this
// fails, and it must not be used.
func TestHTTP2ProtocolErrorIsInDoubt(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	config := cert.TLS.Clone()
	config.NextProtos = []string{"h2"}
	cert.Close()
	insecure := with("transport", map[string]any{"protocol": "http", "tls": map[string]any{"insecure_skip_verify": true}})
	for name, transport := range map[string]option{"plain": h2c, "tls": insecure} {
		for _, body := range []string{"", "body"} {
			t.Run(fmt.Sprintf("%s %q", name, body), func(t *testing.T) {
				listen := func(serve func(h2Stream) bool) *h2Backend {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					if name == "tls" {
						l = tls.NewListener(l, config)
					}
					return startH2Backend(t, l, nil, serve)
				}
				b := listen(func(s h2Stream) bool { return s.fr.WriteRSTStream(s.id, http2.ErrCodeProtocol) == nil })
				other := listen(h2Stream.ok)
				p := newProxy(t, transport, upstreams(b.addr(), other.addr()))
				wantStatus(t, p.do("POST", body), 502, `caddy-broker; error=http_protocol_error; details="in-doubt"`, false)
				if b.seen.Load() != 1 || other.seen.Load() != 0 {
					t.Errorf("sent %d times, and %d times to the other", b.seen.Load(), other.seen.Load())
				}
			})
		}
	}
}

// TestPingOverHTTP2 is a PING frame, unless a request was asked for.
func TestPingOverHTTP2(t *testing.T) {
	b := newH2Backend(t, h2Stream.ok)
	p := newProxy(t, h2c, upstreams(b.addr())).quiet()
	m := p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.way.Ping(t.Context(), m); r.Err != nil || r.Status != 0 || b.pings.Load() != 1 || b.seen.Load() != 0 {
		t.Errorf("got %+v, %d pings and %d requests", r, b.pings.Load(), b.seen.Load())
	}
	p = newProxy(t, h2c, upstreams(b.addr()), set("ping", "GET /up"), set("pool", "asked")).quiet()
	m = p.policy.claim.entry.pool.Members()[0]
	if r := p.policy.way.Ping(t.Context(), m); r.Err != nil || r.Status != 200 || b.seen.Load() != 1 {
		t.Errorf("got %+v and %d requests", r, b.seen.Load())
	}
}
