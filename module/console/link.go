// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

func init() {
	broker.ServeConnections(connected)
}

// maxConnects bounds the connections of children that are served at a time.
const maxConnects = 32

// connects counts them.
var connects atomic.Int32

// connected takes a connection of a child, if the configuration has what it is for: a
// child that is broken into gets no more power over its parent than the operator gave it.
func connected(name, address string, conn net.Conn) error {
	shown := broker.Shown()
	switch {
	case address != parlance.ConnectConsole:
		return fmt.Errorf("connecting to the broker: there is no %q", address)
	case name != broker.DefaultChild || shown == nil || !bytes.Contains(shown.JSON(), []byte(`"`+parlance.ConsoleHandler+`"`)):
		return errors.New("connecting to the broker's console: no site of the configuration in effect has the handler " + parlance.ConsoleHandler)
	case connects.Add(1) > maxConnects:
		connects.Add(-1)
		return fmt.Errorf("connecting to the broker's console: there are %d connections already", maxConnects)
	}
	go func() {
		defer connects.Add(-1)
		serveConn(conn)
	}()
	return nil
}

// Header fields by which a child says for whom it asks. It sets them itself; what a
// client sends of them is removed.
const (
	headerReadOnly = "Broker-Console-Read-Only"
	headerUser     = "Broker-Console-User"
)

// headerTime and idleTime bound what a child's connection may take to say what it wants,
// and how long it may be there for nothing.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
)

// eventsQuery asks the page itself for the events, where there is no other path for them.
const eventsQuery = "events"

// serveConn serves the console to a child that shows it on a site.
func serveConn(conn net.Conn) {
	server := &http.Server{ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveSite(w, r, r.Header.Get(headerReadOnly) != "", r.Header.Get(headerUser))
	})}
	_ = server.Serve(newOnly(conn))
}

// serveSite serves the page, or the events, in the process that knows of them.
func serveSite(w http.ResponseWriter, r *http.Request, readOnly bool, user string) {
	if h := api.Load(); h != nil && r.Method == http.MethodGet && r.URL.Query().Has(eventsQuery) {
		protect(w.Header())
		ask := r.Clone(r.Context())
		ask.URL.Path, ask.URL.RawPath, ask.URL.RawQuery = "/broker/events", "", ""
		(*h).ServeHTTP(w, ask)
		return
	}
	Handler{ReadOnly: readOnly, Events: "?" + eventsQuery, User: user}.ServeHTTP(w, r)
}

// only is a listener that has one connection, and ends with it.
type only struct {
	conn net.Conn
	once sync.Once
	gone chan struct{}
	end  sync.Once
}

func newOnly(conn net.Conn) *only { return &only{conn: conn, gone: make(chan struct{})} }

// Accept returns the connection, and waits for its end the next time.
func (o *only) Accept() (net.Conn, error) {
	var c net.Conn
	o.once.Do(func() { c = onlyConn{o.conn, o} })
	if c != nil {
		return c, nil
	}
	<-o.gone
	return nil, net.ErrClosed
}

// Close ends Accept.
func (o *only) Close() error {
	o.end.Do(func() { close(o.gone) })
	return nil
}

// Addr is the connection's own.
func (o *only) Addr() net.Addr { return o.conn.LocalAddr() }

type onlyConn struct {
	net.Conn
	from *only
}

// Close ends the connection, and with it the listener.
func (c onlyConn) Close() error {
	_ = c.from.Close()
	return c.Conn.Close()
}
