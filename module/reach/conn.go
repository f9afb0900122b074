// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
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

// Conn is a connection to a backend as net/http sees it. It counts what was
// written, so that "nothing of the request was written" can be told exactly,
// tells the pool of every byte that came, and can be taken out of use at any
// moment without a byte being written.
type Conn struct {
	net.Conn
	Backend *Backend

	// written counts the bytes of the present request that the kernel took (HTTP/1);
	// TLS alerts and key updates are no part of a request.
	written atomic.Int64
	// readSome is set once a byte was read since the connection was last taken.
	readSome atomic.Bool
	poisoned atomic.Bool
	// place hears of the next byte of a request before it is written; nil for none.
	place atomic.Pointer[indoubt.Place]
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
	// secure tells that TLS records are written, not HTTP.
	secure bool
	// warm tells that the connection had been held ready: although net/http has
	// not used it yet, the backend may have given it up.
	warm bool

	cause  atomic.Pointer[error]
	closed chan struct{}

	mu     lockorder.Mutex[Conn] // guards what follows
	shut   bool                  // it was closed
	answer carried
	keep   func() bool // for TLS: until it is called, the pool may give the dial up; or nil
}

// carried is a response that a connection carries, and that ends with it: its place is
// free then, whatever its handler does.
type carried interface{ EndWith(c *Conn) }

func newConn(nc net.Conn, b *Backend, secure bool) *Conn {
	c := &Conn{Conn: nc, Backend: b, secure: secure, closed: make(chan struct{})}
	b.add(c)
	return c
}

// Read reads from the backend and tells the pool of it.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if !c.readSome.Load() {
			c.readSome.Store(true)
		}
		c.Backend.Member.Touch()
	}
	if err != nil {
		err = c.Reason(err)
	}
	return n, err
}

// Write writes to the backend, or nothing at all when the connection is
// poisoned. When writing fails it leaves the reading side time to find the
// response that the backend may have sent before it closed: net/http closes the
// connection as soon as Write returns the error.
func (c *Conn) Write(p []byte) (int, error) {
	if c.unsure.Load() && c.unsure.CompareAndSwap(true, false) && c.ended() {
		c.Poison()
	}
	if c.poisoned.Load() {
		return 0, c.Reason(errPoisoned)
	}
	request := !c.secure || assumed.RequestRecord(p)
	if request && c.place.Load() != nil {
		if to := c.place.Swap(nil); to != nil {
			(*to).Written()
		}
	}
	n, err := c.Conn.Write(p)
	if n > 0 && request {
		c.written.Add(int64(n))
	}
	if err != nil {
		// TLS writes an alert before it closes: that must not wait for the closing.
		if request && c.proto.Load() == protoHTTP1 && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.awaitAnswer()
		}
		err = c.Reason(err)
	}
	return n, err
}

// awaitAnswer waits until the connection is closed, or for answerWait when no
// byte of an answer comes.
func (c *Conn) awaitAnswer() {
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
func (c *Conn) Close() error {
	c.mu.Lock()
	shut, answer, keep := c.shut, c.answer, c.keep
	c.shut = true
	c.mu.Unlock()
	if shut {
		return net.ErrClosed
	}
	close(c.closed)
	if keep != nil {
		keep()
	}
	c.Backend.remove(c)
	err := c.Conn.Close()
	if answer != nil {
		answer.EndWith(c)
	}
	return err
}

// CloseWrite closes the writing half: a tunnel's end in one direction.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return fmt.Errorf("closing one direction of %T: %w", c.Conn, http.ErrNotSupported)
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Poison takes the connection out of use: not one more byte is written to it.
func (c *Conn) Poison() { c.poisoned.Store(true) }

// Abort poisons and closes the connection for a reason, which whoever uses it
// finds in its error. The first reason stays.
func (c *Conn) Abort(cause error) {
	c.cause.CompareAndSwap(nil, &cause)
	c.Poison()
	_ = c.Close()
}

// Aborted reports whether the connection was ended from our side.
func (c *Conn) Aborted() bool { return c.cause.Load() != nil }

// Reason is why the connection was aborted, or otherwise.
func (c *Conn) Reason(otherwise error) error {
	if p := c.cause.Load(); p != nil {
		return *p
	}
	return otherwise
}

// ended reports whether the backend has closed the connection. net/http learns of
// that on another goroutine, and later.
func (c *Conn) ended() bool {
	raw := socket.Raw(c.Conn)
	return raw != nil && !socket.PeerPresent(raw)
}

// abandonOn ends the TLS handshake when the pool gives the dial up. It is called
// before the connection is used; it may be closed already, by a hang verdict.
func (c *Conn) abandonOn(abandoned context.Context) {
	keep := context.AfterFunc(abandoned, func() { c.Abort(fault.ErrAbandoned) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		keep()
	} else {
		c.keep = keep
	}
}

// kept ends what abandonOn began.
func (c *Conn) kept() {
	c.mu.Lock()
	keep := c.keep
	c.mu.Unlock()
	if keep != nil {
		keep()
	}
}
