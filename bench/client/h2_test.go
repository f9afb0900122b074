// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveTLS is a server with or without HTTP/2.
func serveTLS(t *testing.T, http2 bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func addrOf(srv *httptest.Server) string { return srv.Listener.Addr().String() }

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func TestH2SendsAndReads(t *testing.T) {
	srv := serveTLS(t, true, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.ProtoMajor != 2 {
			t.Errorf("%s: %v", r.Proto, err)
		}
		w.Header().Set("X-Backend", r.Header.Get(harness.RequestID))
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(body)
	})
	c := &H2{Addr: addrOf(srv), TLS: insecure(), Conns: 3, Timeout: time.Minute}
	defer c.Close()
	var wg sync.WaitGroup
	// More bytes than the windows of the connections hold at first.
	body := bytes.Repeat([]byte("x"), 10_000)
	for i := range 60 {
		wg.Go(func() {
			id := strconv.Itoa(i)
			res := c.Do(t.Context(), id, time.Now(), harness.Request{Method: "POST", Body: body})
			if res.Fate != harness.OK || res.Body != string(body) || res.Header.Get("X-Backend") != id {
				t.Errorf("%s: %s %d, %d bytes of %q (%v)", id, res.Fate, res.Status, len(res.Body), res.Header.Get("X-Backend"), res.Err)
			}
		})
	}
	wg.Wait()
	if res := c.Do(t.Context(), "m", time.Now(), harness.Request{Method: "GET", Path: "/missing"}); res.Fate != harness.Status || res.Status != 404 {
		t.Errorf("/missing: %s %d (%v)", res.Fate, res.Status, res.Err)
	}
	if n := c.Repeated(); n != 0 {
		t.Errorf("%d requests were repeated", n)
	}
}

func TestH2TimesOutAndGoesOn(t *testing.T) {
	release := make(chan struct{})
	srv := serveTLS(t, true, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	})
	c := &H2{Addr: addrOf(srv), TLS: insecure(), Conns: 1, Timeout: time.Minute}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if res := c.Do(ctx, "s", time.Now(), harness.Request{Method: "GET", Path: "/slow"}); res.Fate != harness.Timeout {
		t.Errorf("%s (%v)", res.Fate, res.Err)
	}
	close(release)
	if res := c.Do(t.Context(), "f", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK {
		t.Errorf("afterwards: %s (%v)", res.Fate, res.Err)
	}
}

// script is a server that treats the first request of its first connection as
// said, and answers all others.
func script(t *testing.T, first func(fr *http2.Framer, id uint32, conn net.Conn)) (addr string, requests *atomic.Int64) {
	t.Helper()
	cert := serveTLS(t, true, nil).TLS.Certificates
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serveScript(conn, requests, first) })
		}
	})
	return l.Addr().String(), requests
}

func serveScript(conn net.Conn, requests *atomic.Int64, first func(*http2.Framer, uint32, net.Conn)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	fr := http2.NewFramer(conn, conn)
	_ = fr.WriteSettings()
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		headers, ok := f.(*http2.HeadersFrame)
		switch {
		case !ok:
		case requests.Add(1) == 1:
			first(fr, headers.StreamID, conn)
		default:
			var block bytes.Buffer
			_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: headers.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		}
	}
}

func TestH2RepeatsOnlyWhatWasNotProcessed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		first    func(fr *http2.Framer, id uint32, conn net.Conn)
		fate     harness.Fate
		requests int64
	}{
		{"GOAWAY below the stream", func(fr *http2.Framer, _ uint32, _ net.Conn) {
			_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
		}, harness.OK, 2},
		{"refused stream", func(fr *http2.Framer, id uint32, _ net.Conn) {
			_ = fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
		}, harness.OK, 2},
		{"stream reset", func(fr *http2.Framer, id uint32, _ net.Conn) {
			_ = fr.WriteRSTStream(id, http2.ErrCodeInternal)
		}, harness.Broken, 1},
		{"GOAWAY above the stream, then the end", func(fr *http2.Framer, id uint32, conn net.Conn) {
			_ = fr.WriteGoAway(id, http2.ErrCodeNo, nil)
			_ = conn.Close()
		}, harness.EOF, 1},
		{"the end", func(_ *http2.Framer, _ uint32, conn net.Conn) { _ = conn.Close() }, harness.EOF, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, requests := script(t, tt.first)
			c := &H2{Addr: addr, TLS: insecure(), Conns: 1, Timeout: time.Minute}
			defer c.Close()
			res := c.Do(t.Context(), "r", time.Now(), harness.Request{Method: "POST", Body: []byte("order")})
			if res.Fate != tt.fate {
				t.Errorf("%s (%v), want %s", res.Fate, res.Err, tt.fate)
			}
			if n := requests.Load(); n != tt.requests || c.Repeated() != tt.requests-1 {
				t.Errorf("%d requests were read, %d repeated, want %d", n, c.Repeated(), tt.requests)
			}
		})
	}
}

func TestSteady(t *testing.T) {
	for _, tt := range []struct {
		name        string
		tls, http2  bool
		failAt      int64
		wantProblem string
	}{
		{name: "HTTP/1.1"},
		{name: "TLS", tls: true},
		{name: "HTTP/2", tls: true, http2: true},
		{name: "an error ends it", failAt: 50, wantProblem: "status 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var served atomic.Int64
			handler := func(w http.ResponseWriter, _ *http.Request) {
				switch n := served.Add(1); {
				case n == tt.failAt:
					http.Error(w, "no", http.StatusInternalServerError)
				case n >= 200:
					cancel()
				}
			}
			var srv *httptest.Server
			if tt.tls {
				srv = serveTLS(t, tt.http2, handler)
			} else {
				srv = httptest.NewServer(http.HandlerFunc(handler))
				defer srv.Close()
			}
			s := &Steady{Addr: addrOf(srv), Conns: 4, HTTP2: tt.http2}
			if tt.tls {
				s.TLS = insecure()
			}
			err := s.Run(ctx)
			switch {
			case tt.wantProblem == "" && err != nil:
				t.Fatal(err)
			case tt.wantProblem != "" && (err == nil || !strings.Contains(err.Error(), tt.wantProblem)):
				t.Fatalf("error %v, want %s", err, tt.wantProblem)
			case tt.wantProblem == "" && s.Answered() < 150:
				t.Errorf("%d answers of %d requests", s.Answered(), served.Load())
			}
		})
	}
}
