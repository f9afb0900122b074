// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

var tlsVersions = []struct {
	name string
	id   uint16
}{{"TLS 1.2", tls.VersionTLS12}, {"TLS 1.3", tls.VersionTLS13}}

// writes are what was written to a connection, write by write.
type writes struct {
	net.Conn
	mu  sync.Mutex
	got [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.got = append(w.got, bytes.Clone(p))
	w.mu.Unlock()
	return w.Conn.Write(p)
}

func (w *writes) reset() {
	w.mu.Lock()
	w.got = nil
	w.mu.Unlock()
}

func (w *writes) all() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got
}

// handshake is a TLS connection to a server that reads until its client ends it.
func handshake(t *testing.T, version uint16) (*tls.Conn, *writes) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	t.Cleanup(s.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	}()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	w := &writes{Conn: nc}
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName, cfg.MaxVersion = "example.com", version
	c := tls.Client(w, cfg)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, w
}

// h2Client speaks HTTP/2 frame by frame to a server.
type h2Client struct {
	*http2.Framer
	conn net.Conn
}

// TestTLSErrorsHaveAPrefix: without a type of their own, the errors of crypto/tls
// begin with its name.
func TestTLSErrorsHaveAPrefix(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12} //nolint:gosec // the client wants more
	s.StartTLS()
	defer s.Close()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := tls.Client(nc, &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}) //nolint:gosec // it fails before
	if err := c.HandshakeContext(t.Context()); err == nil || !TLSError(err) {
		t.Errorf("a handshake without a common version: %v", err)
	}
}

// TestAlertsAreKnownByTheirOperation: a server says by an alert that it does not know a
// name.
func TestAlertsAreKnownByTheirOperation(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no such name") }}
	s.StartTLS()
	defer s.Close()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	if _, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String()); err == nil || !TLSAlert(err) {
		t.Errorf("a handshake with a server that refuses it: %v", err)
	}
	s.Close()
	if _, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String()); err == nil || TLSAlert(err) {
		t.Errorf("a dial of a closed port: %v", err)
	}
}

// TestLostHTTP2ConnectionsAreKnownByTheirText ends HTTP/2 connections in the ways
// in which net/http makes errors that have no type.
func TestLostHTTP2ConnectionsAreKnownByTheirText(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve func(fr *http2.Framer, id uint32)
	}{
		{"GOAWAY", func(fr *http2.Framer, id uint32) { _ = fr.WriteGoAway(id, http2.ErrCodeInternal, nil) }},
		{"a setting that is none", func(fr *http2.Framer, _ uint32) {
			_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}},
		{"a frame of no stream", func(fr *http2.Framer, id uint32) { _ = fr.WriteData(id+3, true, nil) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
				fr := http2.NewFramer(c, c)
				_ = fr.WriteSettings()
				for {
					f, err := fr.ReadFrame()
					if err != nil {
						return
					}
					if h, ok := f.(*http2.HeadersFrame); ok {
						tc.serve(fr, h.StreamID)
						return
					}
				}
			}()
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			err = send(tr, newRequest(t, http.MethodPost, "http://"+l.Addr().String(), nil).WithContext(ctx))
			if err == nil || !LostHTTP2(err) {
				t.Errorf("got %v, which is not known as the loss of a connection", err)
			}
		})
	}
}

// h2Server is an HTTP/2 server with a client.
func h2Server(t *testing.T, s *http.Server) h2Client {
	t.Helper()
	ts := httptest.NewUnstartedServer(s.Handler)
	s.TLSConfig = &tls.Config{NextProtos: []string{"h2"}} //nolint:gosec // a test
	ts.Config, ts.EnableHTTP2 = s, true
	ts.StartTLS()
	t.Cleanup(ts.Close)
	cfg := ts.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos, cfg.ServerName = []string{"h2"}, "example.com"
	d := tls.Dialer{Config: cfg}
	c, err := d.DialContext(t.Context(), "tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	client := h2Client{http2.NewFramer(c, c), c}
	if err := client.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return client
}

// get sends a request on stream 1. Its header block is that of GET https://a/.
func (c h2Client) get(t *testing.T) {
	t.Helper()
	err := c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, EndStream: true, EndHeaders: true,
		BlockFragment: []byte{0x82, 0x87, 0x84, 0x41, 0x01, 'a'}, // :method GET, :scheme https, :path /, :authority a
	})
	if err != nil {
		t.Fatal(err)
	}
}

// told reports whether the server says GOAWAY with its answer: before it, as a rule,
// or right after it. It has not if it answers a PING that was sent after the answer came.
func (c h2Client) told(t *testing.T) (goAway bool) {
	t.Helper()
	answered := false
	for !goAway || !answered {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			goAway = true
		case *http2.HeadersFrame:
			answered = true
			if err := c.WritePing(false, [8]byte{}); err != nil {
				t.Fatal(err)
			}
		case *http2.PingFrame:
			if f.IsAck() {
				return goAway
			}
		}
	}
	return goAway
}

func TestGoAwayIsSent(t *testing.T) {
	answer := func(value string) *http.Server {
		return &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // a test
			if value != "" {
				w.Header()["Connection"] = []string{value}
			}
		})}
	}
	for value, want := range map[string]bool{"": false, "close": true, "Close": false, "close, x": false} {
		c := h2Server(t, answer(value))
		c.get(t)
		if got := c.told(t); got != want {
			t.Errorf("Connection: %q made the server send GOAWAY: %t, want %t", value, got, want)
		}
	}
	s := answer("")
	c := h2Server(t, s)
	c.get(t)
	c.told(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Shutdown(over)
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("a server that is shut down sent no GOAWAY: %v", err)
		}
		if _, ok := f.(*http2.GoAwayFrame); ok {
			return
		}
	}
}

func TestAnHTTP2ConnectionBeginsIdle(t *testing.T) {
	states := make(chan http.ConnState, 16)
	s := &http.Server{ //nolint:gosec // a test
		Handler:   http.NotFoundHandler(),
		ConnState: func(_ net.Conn, state http.ConnState) { states <- state },
	}
	c := h2Server(t, s)
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle}
	for _, w := range want {
		if got := <-states; got != w {
			t.Fatalf("state %s before the first request, want %v", got, want)
		}
	}
	c.get(t)
	for _, w := range []http.ConnState{http.StateActive, http.StateIdle} {
		if got := <-states; got != w {
			t.Errorf("state %s with the first request, want %s", got, w)
		}
	}
}
