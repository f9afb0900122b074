// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bufio"
	"bytes"
	"context"
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
			if !serve(h2Stream{fr, f.StreamID, b.seen.Add(1), on, c}) {
				return
			}
		}
	}
}

func (b *h2Backend) addr() string { return b.Listener.Addr().String() }

var h2c = with("transport", map[string]any{"protocol": "http", "versions": []string{"h2c", "2"}})

// TestHTTP2SaysThatItDidNotProcess: by REFUSED_STREAM, or by GOAWAY below the
// stream. Such a request goes once more to the same backend, then to the next,
// whatever its method.
func TestHTTP2SaysThatItDidNotProcess(t *testing.T) {
	for name, say := range map[string]func(h2Stream) bool{"refuse": h2Stream.refuse, "goaway": h2Stream.goAway} {
		for _, body := range []string{"", "body"} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(fmt.Sprintf("%s %s %q once", name, method, body), func(t *testing.T) {
					b := newH2Backend(t, func(s h2Stream) bool {
						if s.nth == 1 {
							return say(s)
						}
						return s.ok()
					})
					other := newH2Backend(t, h2Stream.ok)
					p := newProxy(t, h2c, upstreams(b.addr(), other.addr()), set("track_messages", true))
					a := p.do(method, body, "Idempotency-Key", "1")
					if a.status != 200 || b.seen.Load() != 2 || other.seen.Load() != 0 {
						t.Errorf("got %d, sent %d times, and %d times to the other", a.status, b.seen.Load(), other.seen.Load())
					}
				})
				t.Run(fmt.Sprintf("%s %s %q always", name, method, body), func(t *testing.T) {
					b := newH2Backend(t, say)
					other := newH2Backend(t, h2Stream.ok)
					p := newProxy(t, h2c, upstreams(b.addr(), other.addr()), set("track_messages", true))
					a := p.do(method, body, "Idempotency-Key", "1")
					if a.status != 200 || b.seen.Load() != 2 || other.seen.Load() != 1 {
						t.Errorf("got %d, sent %d times, and %d times to the other", a.status, b.seen.Load(), other.seen.Load())
					}
				})
			}
		}
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
		if a := p.do("POST", "body"); a.status != 200 && a.header.Get(headerProxyStatus) != `caddy-broker; error=connection_terminated; details="in-doubt"` {
			t.Errorf("got %+v", a)
		}
	}
	// The backend closes while the next request is on its way: such a request is
	// either not written, and then sent on a new connection, or in doubt.
	if n := b.seen.Load(); n > 100 {
		t.Errorf("100 POSTs were executed %d times", n)
	}
}

// TestUpgrade: a tunnel works in both directions, ends in each on its own, and
// counts until it has ended.
func TestUpgrade(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: echo\n\n")
		_, _ = io.Copy(r.conn, r.conn)
		_, _ = io.WriteString(r.conn, "bye")
		return false
	})
	p := newProxy(t, upstreams(deadAddress(t), b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("got %v, %v", res, err)
	}
	fmt.Fprint(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := p.policy.claim.entry.pool.Status().Upstreams[1].Requests; n != 1 {
		t.Errorf("%d requests in progress, want the tunnel", n)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "bye" {
		t.Errorf("got %q, %v after closing one direction", rest, err)
	}
	eventually(t, "the tunnel has ended", func() bool {
		return p.policy.claim.entry.pool.Status().Upstreams[1].Requests == 0
	})
}

// TestTrailersAndChunks pass both ways, also when the request is sent again.
func TestTrailersAndChunks(t *testing.T) {
	good := newBackendServer(t, "good", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %v %s", body, r.TransferEncoding, r.Trailer.Get("X-Check"))
		w.Header().Set("X-Sum", "42")
	})
	for name, first := range map[string]string{
		"refused": deadAddress(t),
		"lost":    newRawBackend(t, func(r rawRequest) bool { _, _ = io.ReadAll(r.Body); return false }).addr(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, upstreams(first, good.addr()))
			req, err := http.NewRequest("PUT", p.URL, struct{ io.Reader }{strings.NewReader("body")})
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Check": {"sum"}}
			res, err := p.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if string(text) != "body [chunked] sum" || res.Trailer.Get("X-Sum") != "42" {
				t.Errorf("got %d %q, trailer %v", res.StatusCode, text, res.Trailer)
			}
		})
	}
}

// TestInterimResponsesReachTheClient.
func TestInterimResponsesReachTheClient(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\n")
		return r.ok()
	})
	p := newProxy(t, upstreams(b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	br := bufio.NewReader(c)
	for _, want := range []int{103, 200} {
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != want {
			t.Fatalf("got %v, %v, want %d", res, err, want)
		}
	}
}

// TestExpectContinue: the client sends its body when the backend asks for it.
func TestExpectContinue(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	p := newProxy(t, upstreams(deadAddress(t), b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 100 {
		t.Fatalf("got %v, %v, want 100", res, err)
	}
	fmt.Fprint(c, "body")
	res, err := http.ReadResponse(br, nil)
	for err == nil && res.StatusCode == 100 {
		res, err = http.ReadResponse(br, nil)
	}
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("got %v, %v, want 200", res, err)
	}
}

// TestStreamBothWays: a call that sends and receives at the same time, as gRPC
// does, over h2c on both sides.
func TestStreamBothWays(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				break
			}
			fmt.Fprintf(w, "re: %s", line)
			_ = rc.Flush()
		}
		w.Header().Set("Grpc-Status", "0")
	}))
	b.Config.Protocols = protocols
	b.Start()
	defer b.Close()
	p := newProxy(t, h2c, upstreams(deadAddress(t), b.Listener.Addr().String()))
	front := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	front.Config.Protocols = protocols
	front.Start()
	defer front.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()

	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), "POST", front.URL, pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	br := bufio.NewReader(res.Body)
	for i := range 3 {
		fmt.Fprintf(pw, "message %d\n", i)
		if line, err := br.ReadString('\n'); err != nil || line != fmt.Sprintf("re: message %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	_ = pw.Close()
	if _, err := io.ReadAll(br); err != nil || res.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got trailer %v, %v", res.Trailer, err)
	}
}

// TestStreamEndsWithItsBackend: while the client only listens, the end of the
// backend ends the call; nobody waits for the client's next message.
func TestStreamEndsWithItsBackend(t *testing.T) {
	for _, say := range []string{"", "message\n"} {
		t.Run(say, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			b := newH2Backend(t, func(h2Stream) bool { return false })
			p := newProxy(t, h2c, upstreams(b.addr()), set("max_reconnect_attempts", 0)).quiet()
			front := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
			front.Config.Protocols = protocols
			front.Start()
			defer front.Close()
			client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
			defer client.CloseIdleConnections()
			pr, pw := io.Pipe()
			defer pw.Close()
			go func() { _, _ = io.WriteString(pw, say) }()
			res, err := client.Post(front.URL, "application/grpc", pr)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 502 {
				t.Errorf("got %d, want 502", res.StatusCode)
			}
		})
	}
}
