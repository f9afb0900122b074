// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// errPoisoned is the error of a write on a connection that was taken out of use
// before a byte of the request was written to it.
var errPoisoned = errors.New("connection was not used: it had been idle too long, was closed or belongs to an ended attempt")

// answerWait is how long a connection whose writing failed is read for a
// response: a backend that refuses an upload answers first and closes then.
const answerWait = time.Second

// The protocols of a conn.
const (
	protoUnknown uint32 = iota
	protoHTTP1
	protoHTTP2
)

// conn is a connection to a backend as net/http sees it. It counts what was
// written, so that "nothing of the request was written" can be told exactly,
// tells the pool of every byte that came, and can be taken out of use at any
// moment without a byte being written.
type conn struct {
	net.Conn
	backend *backend

	// written counts the bytes of requests that the kernel took; TLS alerts and
	// key updates are no part of a request.
	written atomic.Int64
	// readSome is set once a byte was read since the connection was last taken.
	readSome atomic.Bool
	poisoned atomic.Bool
	// unsure is set when the next byte belongs to a request that could not be
	// sent again, and the backend may have closed the connection meanwhile.
	unsure atomic.Bool
	// keepAlive is what the backend said of its patience with idle
	// connections, in nanoseconds; 0 when it said nothing.
	keepAlive atomic.Int64
	proto     atomic.Uint32
	// established is set when the connection was first taken for a request:
	// until then its deadline is that of dial and TLS handshake.
	established atomic.Bool
	// keep is for TLS: until it is called, the pool may give the dial up; or nil.
	keep atomic.Pointer[func() bool]
	// answer is the response that the connection carries, and ends with it: its
	// place is free then, whatever its handler does. HTTP/1 only; or nil.
	answer atomic.Pointer[responseBody]
	// secure tells that TLS records are written, not HTTP.
	secure bool
	// warm tells that the connection had been held ready: although net/http has
	// not used it yet, the backend may have given it up.
	warm bool

	cause  atomic.Pointer[error]
	once   sync.Once
	closed chan struct{}
}

func newConn(nc net.Conn, b *backend, secure bool) *conn {
	c := &conn{Conn: nc, backend: b, secure: secure, closed: make(chan struct{})}
	b.add(c)
	return c
}

// Read reads from the backend and tells the pool of it.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if !c.readSome.Load() {
			c.readSome.Store(true)
		}
		c.backend.member.Touch()
	}
	if err != nil {
		err = c.reason(err)
	}
	return n, err
}

// Write writes to the backend, or nothing at all when the connection is
// poisoned. When writing fails it leaves the reading side time to find the
// response that the backend may have sent before it closed: net/http closes the
// connection as soon as Write returns the error.
func (c *conn) Write(p []byte) (int, error) {
	if c.unsure.Load() && c.unsure.CompareAndSwap(true, false) && c.ended() {
		c.poison()
	}
	if c.poisoned.Load() {
		return 0, c.reason(errPoisoned)
	}
	n, err := c.Conn.Write(p)
	request := !c.secure || assumed.RequestRecord(p)
	if n > 0 && request {
		c.written.Add(int64(n))
	}
	if err != nil {
		// TLS writes an alert before it closes: that must not wait for the closing.
		if request && c.proto.Load() == protoHTTP1 && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.awaitAnswer()
		}
		err = c.reason(err)
	}
	return n, err
}

// awaitAnswer waits until the connection is closed, or for answerWait when no
// byte of an answer comes.
func (c *conn) awaitAnswer() {
	timer := time.NewTimer(answerWait)
	defer timer.Stop()
	select {
	case <-c.closed:
		return
	case <-timer.C:
	}
	if c.readSome.Load() {
		<-c.closed
	}
}

// Close closes the connection and ends a write that waits for an answer.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		c.kept()
		c.backend.remove(c)
		err = c.Conn.Close()
		if b := c.answer.Load(); b != nil {
			b.end(c)
		}
	})
	return err
}

// CloseWrite closes the writing half: a tunnel's end in one direction.
func (c *conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return fmt.Errorf("closing one direction of %T: %w", c.Conn, http.ErrNotSupported)
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// poison takes the connection out of use: not one more byte is written to it.
func (c *conn) poison() { c.poisoned.Store(true) }

// abort poisons and closes the connection for a reason, which whoever uses it
// finds in its error. The first reason stays.
func (c *conn) abort(cause error) {
	c.cause.CompareAndSwap(nil, &cause)
	c.poison()
	_ = c.Close()
}

// aborted reports whether the connection was ended from our side.
func (c *conn) aborted() bool { return c.cause.Load() != nil }

// reason is why the connection was aborted, or otherwise.
func (c *conn) reason(otherwise error) error {
	if p := c.cause.Load(); p != nil {
		return *p
	}
	return otherwise
}

// ended reports whether the backend has closed the connection. net/http learns of
// that on another goroutine, and later.
func (c *conn) ended() bool {
	raw := socket.Raw(c.Conn)
	return raw != nil && !socket.PeerPresent(raw)
}

// take is called each time the connection is about to carry a request of its own.
func (c *conn) take() {
	if c.secure && c.established.CompareAndSwap(false, true) {
		_ = c.Conn.SetDeadline(time.Time{})
		c.kept()
	}
	c.readSome.Store(false)
}

// abandonOn ends the TLS handshake when the pool gives the dial up. It is called
// before the connection is used; it may be closed already, by a hang verdict.
func (c *conn) abandonOn(abandoned context.Context) {
	keep := context.AfterFunc(abandoned, func() { c.abort(fault.ErrAbandoned) })
	c.keep.Store(&keep)
	if isClosed(c.closed) {
		keep()
	}
}

// kept ends what abandonOn began.
func (c *conn) kept() {
	if keep := c.keep.Load(); keep != nil {
		(*keep)()
	}
}

// connOf finds the conn below what net/http uses: nil when there is none.
func connOf(nc net.Conn) *conn {
	for nc != nil {
		if c, ok := nc.(*conn); ok {
			return c
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = below.NetConn()
	}
	return nil
}

// protocol is the protocol that nc, whose lowest layer is c, speaks.
func (c *conn) protocol(nc net.Conn, h2c bool) uint32 {
	if p := c.proto.Load(); p != protoUnknown {
		return p
	}
	p := protoHTTP1
	if tc, ok := nc.(*tls.Conn); h2c || ok && tc.ConnectionState().NegotiatedProtocol == "h2" {
		p = protoHTTP2
	}
	c.proto.Store(p)
	return p
}

// isClosed reports whether a channel on which nothing is sent is closed.
func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
