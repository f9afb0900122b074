// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// rawBackend is a backend that misbehaves: it hands every request, once it was
// read, to a function that may do with the connection what it likes.
type rawBackend struct {
	net.Listener
	seen  atomic.Int64 // requests read, pings apart
	conns atomic.Int64 // connections accepted that carried anything but pings
	pings atomic.Int64 // answered
	deaf  atomic.Bool  // ends the connection of a ping

	mu   sync.Mutex
	open map[net.Conn]struct{}
	wg   sync.WaitGroup
}

// rawRequest is a request that a rawBackend has read the header of.
type rawRequest struct {
	*http.Request
	conn net.Conn
	nth  int64 // of the backend, from 1
	on   int   // of its connection, from 1
}

// reply writes text with line ends as HTTP wants them.
func (r rawRequest) reply(text string) bool {
	_, err := io.WriteString(r.conn, strings.ReplaceAll(text, "\n", "\r\n"))
	return err == nil
}

// ok answers with 200 and reads what is left of the body.
func (r rawRequest) ok() bool {
	_, _ = io.Copy(io.Discard, r.Body)
	return r.reply("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
}

// reset closes the connection with RST.
func (r rawRequest) reset() bool {
	if tc, ok := r.conn.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
	return false
}

// newRawBackend starts a backend. serve returns whether the connection goes on.
func newRawBackend(tb testing.TB, serve func(r rawRequest) bool) *rawBackend {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return startRawBackend(tb, l, serve)
}

func startRawBackend(tb testing.TB, l net.Listener, serve func(r rawRequest) bool) *rawBackend {
	b := &rawBackend{Listener: l, open: make(map[net.Conn]struct{})}
	b.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[c] = struct{}{}
			b.mu.Unlock()
			b.wg.Add(1)
			go b.conn(c, serve)
		}
	})
	tb.Cleanup(b.stop)
	return b
}

func (b *rawBackend) conn(c net.Conn, serve func(r rawRequest) bool) {
	defer b.wg.Done()
	defer func() {
		b.mu.Lock()
		delete(b.open, c)
		b.mu.Unlock()
		_ = c.Close()
	}()
	br := bufio.NewReader(c)
	for on := 1; ; on++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Method == http.MethodOptions && req.RequestURI == "*" {
			if b.deaf.Load() {
				return
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
			b.pings.Add(1)
			continue
		}
		if on == 1 {
			b.conns.Add(1)
		}
		if !serve(rawRequest{req, c, b.seen.Add(1), on}) {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

func (b *rawBackend) addr() string { return b.Listener.Addr().String() }

// stop closes everything and waits.
func (b *rawBackend) stop() {
	_ = b.Close()
	b.mu.Lock()
	for c := range b.open {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}
