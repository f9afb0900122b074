// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A connection is sent elsewhere when it has been quiet for a moment; one without a
// request yet gets more time.
func TestHTTP2LeavesWhenQuiet(t *testing.T) {
	const never = -1
	type change struct {
		at    time.Duration // after leave; before it where negative
		state http.ConnState
	}
	const ms = time.Millisecond
	request := func(from, to time.Duration) []change {
		return []change{{from, http.StateActive}, {to, http.StateIdle}}
	}
	several := func(n int, from, every, each time.Duration) (all []change) {
		for i := range n {
			all = append(all, request(from+time.Duration(i)*every, from+time.Duration(i)*every+each)...)
		}
		return all
	}
	for name, test := range map[string]struct {
		changes []change
		want    time.Duration
	}{
		"idle for long":             {request(-900*ms, -800*ms), 0},
		"idle since a moment ago":   {request(-100*ms, -3*ms), 2 * ms},
		"busy":                      {request(-100*ms, 500*ms), 505 * ms},
		"busy for very long":        {request(-100*ms, 4*time.Second), 4*time.Second + 5*ms},
		"never idle":                {[]change{{-100 * ms, http.StateActive}}, never},
		"again and again":           {append(several(80, -100*ms, 10*ms, 7*ms), request(700*ms, 720*ms)...), 725 * ms},
		"no request yet":            {nil, 4 * time.Second},
		"its first request is late": {request(100*ms, 200*ms), 205 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newChildRuntime(nil)
				conn := rt.newHTTP2Conn(new(http.Server))
				rt.http2.Store(&conn.server, conn)
				defer conn.end()
				begun := time.Now()
				var once sync.Once
				went := time.Duration(never)
				conn.server.RegisterOnShutdown(func() { once.Do(func() { went = time.Since(begun) - time.Second }) })
				conn.changed(http.StateActive) // as a new one is
				conn.changed(http.StateIdle)
				sleepUntil := func(at time.Duration) { time.Sleep(time.Until(begun.Add(time.Second + at))) }
				left := false
				for _, c := range append(test.changes, change{10 * time.Second, http.StateNew}) {
					if c.at >= 0 && !left {
						sleepUntil(0)
						rt.leave()
						left = true
					}
					sleepUntil(c.at)
					conn.changed(c.state)
				}
				synctest.Wait()
				if went != test.want {
					t.Errorf("was sent elsewhere after %s, want %s", went, test.want)
				}
			})
		})
	}
}

// http2Site serves HTTP/2 as Caddy does, with the guard of rt before handler.
func http2Site(t *testing.T, rt *childRuntime, handler caddyhttp.HandlerFunc) (addr string) {
	t.Helper()
	runtime.Store(rt)
	t.Cleanup(func() { runtime.Store(nil) })
	var once sync.Once
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
		_ = Guard{}.ServeHTTP(w, r, handler)
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		once.Do(func() { rt.followHTTP2(ctx.Value(http.ServerContextKey).(*http.Server)) })
		return ctx
	}
	if err := http2.ConfigureServer(srv.Config, new(http2.Server)); err != nil { //nolint:staticcheck // as Caddy does it
		t.Fatal(err)
	}
	srv.TLS = srv.Config.TLSConfig
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// http2Frames is a client that sees frames.
type http2Frames struct {
	*testing.T
	*http2.Framer
	next     uint32
	answered map[uint32]bool
}

// newHTTP2Frames is a client of a site with handler.
func newHTTP2Frames(t *testing.T, rt *childRuntime, handler caddyhttp.HandlerFunc) *http2Frames {
	t.Helper()
	addr := http2Site(t, rt, handler)
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	f := &http2Frames{T: t, Framer: http2.NewFramer(c, c), next: 1, answered: map[uint32]bool{}}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *http2Frames) request(path string) {
	f.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}} {
		_ = enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.next, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		f.Fatal(err)
	}
	f.next += 2
}

// until reads frames until one is a GOAWAY, or stop says so.
func (f *http2Frames) until(stop func() bool) *http2.GoAwayFrame {
	f.Helper()
	for !stop() {
		frame, err := f.ReadFrame()
		if err != nil {
			f.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			return frame
		case *http2.HeadersFrame:
			f.answered[frame.StreamID] = f.answered[frame.StreamID] || frame.StreamEnded()
		case *http2.DataFrame:
			f.answered[frame.StreamID] = f.answered[frame.StreamID] || frame.StreamEnded()
		}
	}
	return nil
}

// An idle client is told to go without a further request; one that waits for
// answers when it has all of them; and one that is never quiet with an answer.
func TestHTTP2GoesAwayAfterItsAnswers(t *testing.T) {
	begun, goOn := make(chan struct{}, 8), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) error {
		begun <- struct{}{}
		if r.URL.Path == "/slow" {
			<-goOn
		}
		_, err := io.WriteString(w, "answer")
		return err
	}
	never := func() bool { return false }

	t.Run("idle", func(t *testing.T) {
		rt := newChildRuntime(nil)
		f := newHTTP2Frames(t, rt, handler)
		f.request("/")
		f.until(func() bool { return f.answered[1] })
		<-begun
		rt.leave()
		if away := f.until(never); away.LastStreamID != 1 || away.ErrCode != http2.ErrCodeNo {
			t.Errorf("GOAWAY says last stream %d, code %s", away.LastStreamID, away.ErrCode)
		}
	})
	t.Run("busy", func(t *testing.T) {
		rt := newChildRuntime(nil)
		f := newHTTP2Frames(t, rt, handler)
		f.request("/slow")
		f.request("/slow")
		<-begun
		<-begun
		rt.leave()
		f.request("/") // it is still answered here
		<-begun
		f.until(func() bool { return f.answered[5] })
		goOn <- struct{}{}
		goOn <- struct{}{}
		away := f.until(never)
		if !f.answered[1] || !f.answered[3] || away.LastStreamID != 5 {
			t.Errorf("GOAWAY says last stream %d when these are answered: %v", away.LastStreamID, f.answered)
		}
	})
	t.Run("never quiet", func(t *testing.T) {
		rt := newChildRuntime(nil)
		f := newHTTP2Frames(t, rt, handler)
		f.request("/slow")
		<-begun
		rt.leave()
		rt.left = rt.left.Add(-busyTime)
		f.request("/")
		<-begun
		if away := f.until(never); away.LastStreamID != 3 {
			t.Errorf("GOAWAY says last stream %d", away.LastStreamID)
		}
		goOn <- struct{}{}
		f.until(func() bool { return f.answered[1] && f.answered[3] })
	})
}
