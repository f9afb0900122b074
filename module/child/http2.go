// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// http2Conn is a client's HTTP/2 connection in a process that may have to send it
// elsewhere. Some clients, Java's up to version 17 among them, fail every request
// that is in progress when GOAWAY comes, whatever it says about the last stream, and
// those whose answers they have received but not yet read. So it shall come when the
// connection has been quiet for a moment, which `Connection: close` cannot do: in most
// cases the server sends it before the answer that carries the field.
//
// A server tells all of its connections, or none, to go. Therefore each connection
// has a server to itself, which listens to nothing; shutting it down sends GOAWAY.
type http2Conn struct {
	server http.Server
	rt     *childRuntime
	away   sync.Once

	mu    lockorder.Mutex[http2Conn]
	used  bool        // by mu: it has had a request
	idle  time.Time   // by mu: no request is in progress since; zero: one is
	timer *time.Timer // by mu: calls leave; nil when it did not have to wait yet
	ended bool        // by mu
}

const (
	// busyTime is how long a connection that is never quiet may go on in a process
	// that was replaced: then GOAWAY comes with one of its answers.
	busyTime = time.Second
	// quietTime is how long a connection must have been quiet: long enough for a
	// client to read what it was answered last, and no longer, because the next
	// request of one that sends them in turn gets nearer.
	quietTime = 5 * time.Millisecond
)

// followHTTP2 gives each HTTP/2 connection of server, which has accepted none yet,
// a server of its own. It does nothing where HTTP/2 is not served through
// TLSNextProto.
func (rt *childRuntime) followHTTP2(server *http.Server) {
	for proto, whole := range server.TLSNextProto {
		server.TLSNextProto[proto] = func(server *http.Server, c *tls.Conn, h http.Handler) {
			conn := rt.newHTTP2Conn(server)
			serve := conn.server.TLSNextProto[proto]
			if serve == nil {
				whole(server, c, h)
				return
			}
			rt.http2.Store(&conn.server, conn)
			defer conn.end()
			serve(&conn.server, c, onDeepStack{h})
		}
	}
	server.RegisterOnShutdown(func() {
		rt.eachHTTP2((*http2Conn).goAway)
	})
}

// newHTTP2Conn makes a connection that has what server has.
func (rt *childRuntime) newHTTP2Conn(server *http.Server) *http2Conn {
	conn := &http2Conn{rt: rt, server: http.Server{
		ReadTimeout: server.ReadTimeout, ReadHeaderTimeout: server.ReadHeaderTimeout,
		WriteTimeout: server.WriteTimeout, IdleTimeout: server.IdleTimeout,
		MaxHeaderBytes: server.MaxHeaderBytes, HTTP2: server.HTTP2, ErrorLog: server.ErrorLog,
		BaseContext: server.BaseContext, ConnContext: server.ConnContext,
	}}
	conn.server.ConnState = func(c net.Conn, state http.ConnState) {
		if server.ConnState != nil {
			server.ConnState(c, state)
		}
		conn.changed(state)
	}
	// It fails for a list of cipher suites only, which there is none of.
	_ = http2.ConfigureServer(&conn.server, new(http2.Server)) //nolint:staticcheck // Caddy's servers are configured by it
	return conn
}

// changed notes that the connection has a request in progress, or none any more. It
// is called by the one goroutine that serves the connection, for a last answer when
// that is written. A new connection is active and idle once before its first request.
func (c *http2Conn) changed(state http.ConnState) {
	c.mu.Lock()
	switch state {
	case http.StateActive:
		c.used = c.used || !c.idle.IsZero()
		c.idle = time.Time{}
	case http.StateIdle:
		c.idle = time.Now()
	}
	c.mu.Unlock()
	if state == http.StateIdle && c.rt.closing.Load() {
		c.leave()
	}
}

// leave sends the client elsewhere if the connection is quiet, and else when it is.
// One that has had no request yet may be about to send its first.
func (c *http2Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.idle.IsZero() {
		return
	}
	least := unusedGrace
	if c.used {
		least = quietTime
	}
	rest := least - time.Since(c.idle)
	switch {
	case rest <= 0:
		c.goAway()
	case c.timer == nil:
		c.timer = time.AfterFunc(rest, c.leave)
	default:
		c.timer.Reset(rest)
	}
}

// end forgets the connection.
func (c *http2Conn) end() {
	c.rt.http2.Delete(&c.server)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *http2Conn) goAway() {
	c.away.Do(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel() // there is nothing to wait for: it has no connection that it knows of
		_ = c.server.Shutdown(over)
	})
}

func (rt *childRuntime) eachHTTP2(f func(*http2Conn)) {
	rt.http2.Range(func(_, conn any) bool {
		f(conn.(*http2Conn))
		return true
	})
}

// leaveHTTP2 sends the clients of HTTP/2 connections elsewhere as soon as they are quiet.
func (rt *childRuntime) leaveHTTP2() {
	rt.eachHTTP2((*http2Conn).leave)
}

// awaitsQuiet reports whether the connection that server serves, as an HTTP/2
// connection's own server, is to be told to go when it is quiet, and not with an
// answer.
func (rt *childRuntime) awaitsQuiet(server any) bool {
	_, follows := rt.http2.Load(server)
	return follows && time.Since(rt.left) < busyTime
}
