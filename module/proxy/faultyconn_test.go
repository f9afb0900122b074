// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/reach"
)

// faultKind is how a connection breaks.
type faultKind string

const (
	noFault    faultKind = "none"
	faultCut   faultKind = "cut"   // the peer closes it
	faultReset faultKind = "reset" // the peer resets it
	faultStall faultKind = "stall" // not one more byte passes, in either direction
	faultShort faultKind = "short" // a write takes less than it is given, and the peer closes
)

// connFault breaks a connection after a number of bytes in one direction.
type connFault struct {
	kind  faultKind
	read  bool // in what is read; otherwise in what is written
	after int  // that many bytes still pass
}

// faultyConn is a connection to a backend that breaks as it is told.
type faultyConn struct {
	net.Conn
	backend *reach.Backend // whose connection it is; set by an injector
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex
	fault   connFault
	written int // since it was armed
	read    int
	broken  chan struct{} // closed when it breaks
}

func newFaultyConn(nc net.Conn, fault connFault) *faultyConn {
	c := &faultyConn{Conn: nc, closed: make(chan struct{})}
	c.arm(fault)
	return c
}

// arm makes the connection break that many bytes from now.
func (c *faultyConn) arm(fault connFault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault, c.written, c.read, c.broken = fault, 0, 0, make(chan struct{})
}

// passed is how many bytes were written and read since it was armed.
func (c *faultyConn) passed() (written, read int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written, c.read
}

// broke is closed when the connection has broken.
func (c *faultyConn) broke() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *faultyConn) isBroken() bool { return hasEnded(c.broke()) }

func hasEnded(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// allows is how many of n bytes may pass in that direction. Less than n breaks the
// connection as soon as those have passed.
func (c *faultyConn) allows(read bool, n int) (room int, breaks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := &c.written
	if read {
		count = &c.read
	}
	if c.fault.kind != noFault && c.fault.read == read {
		if left := c.fault.after - *count; n > left {
			n, breaks = left, true
		}
	}
	*count += n
	return n, breaks
}

// breaks breaks the connection and is what the call under way returns.
func (c *faultyConn) breaks() error {
	c.mu.Lock()
	kind := c.fault.kind
	if !hasEnded(c.broken) {
		close(c.broken)
	}
	c.mu.Unlock()
	return c.verdict(kind, false)
}

func (c *faultyConn) verdict(kind faultKind, read bool) error {
	switch kind {
	case faultStall:
		<-c.closed
		return net.ErrClosed
	case faultReset:
		if tc, ok := c.Conn.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		_ = c.Conn.Close()
		return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case faultShort:
		_ = c.Conn.Close()
		if !read {
			return io.ErrShortWrite
		}
	default:
		_ = c.Conn.Close()
		if !read {
			return &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
		}
	}
	return io.EOF
}

// Write writes what may pass.
func (c *faultyConn) Write(p []byte) (int, error) {
	if c.isBroken() {
		return 0, c.verdict(c.kind(), false)
	}
	room, breaks := c.allows(false, len(p))
	n := 0
	if room > 0 {
		var err error
		if n, err = c.Conn.Write(p[:room]); err != nil {
			return n, err
		}
	}
	if breaks {
		return n, c.breaks()
	}
	return n, nil
}

// Read reads what may pass. What comes after it is lost.
func (c *faultyConn) Read(p []byte) (int, error) {
	if c.isBroken() {
		return 0, c.verdict(c.kind(), true)
	}
	n, err := c.Conn.Read(p)
	if c.isBroken() { // by a write in the meantime
		return 0, c.verdict(c.kind(), true)
	}
	room, breaks := c.allows(true, n)
	if !breaks {
		return n, err
	}
	if room > 0 {
		c.mu.Lock()
		close(c.broken)
		c.mu.Unlock()
		return room, nil // the next one finds out
	}
	_ = c.breaks()
	return 0, c.verdict(c.kind(), true)
}

func (c *faultyConn) kind() faultKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault.kind
}

// Close closes the connection and ends what stalls.
func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// NetConn returns the connection below.
func (c *faultyConn) NetConn() net.Conn { return c.Conn }

// injector makes connections that requests of a proxy are sent on faulty.
type injector struct {
	mu   sync.Mutex
	next *faultyConn
}

// inject puts an injector below the policy's own account of its connections.
func inject(p *proxy) *injector {
	in := new(injector)
	t := p.policy.transport
	below := t.RoundTripper.(*reverseproxy.HTTPTransport).Transport
	dial := below.DialContext
	below.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if c, ok := nc.(*reach.Conn); ok && t.policy.exchange(ctx) != nil {
			in.mu.Lock()
			defer in.mu.Unlock()
			if in.next != nil {
				in.next.Conn, in.next.backend = c.Conn, c.Backend
				c.Conn, in.next = in.next, nil
			}
		}
		return nc, err
	}
	return in
}

// arm is what the next new connection will be.
func (in *injector) arm(fault connFault) *faultyConn {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.next = newFaultyConn(nil, fault)
	return in.next
}

func TestFaultyConnBreaksWhereItIsTold(t *testing.T) {
	for _, kind := range []faultKind{faultCut, faultReset, faultShort} {
		for after := range 6 {
			near, far := net.Pipe()
			c := newFaultyConn(near, connFault{kind: kind, after: after})
			got := make(chan int, 1)
			go func() {
				b, _ := io.ReadAll(far)
				got <- len(b)
			}()
			n, err := c.Write([]byte("12345"))
			_ = c.Close()
			if want := min(after, 5); n != want || <-got != want {
				t.Errorf("%s after %d: %d bytes passed", kind, after, n)
			}
			if (err != nil) != (after < 5) || c.isBroken() != (after < 5) {
				t.Errorf("%s after %d: %v, broken %t", kind, after, err, c.isBroken())
			}
		}
	}
	near, far := net.Pipe()
	defer far.Close()
	c := newFaultyConn(near, connFault{kind: faultStall, read: true, after: 2})
	go func() { _, _ = far.Write([]byte("12345")) }()
	b := make([]byte, 5)
	if n, err := c.Read(b); n != 2 || err != nil {
		t.Fatalf("%d bytes passed, %v", n, err)
	}
	stalled := make(chan error, 1)
	go func() {
		_, err := c.Read(b)
		stalled <- err
	}()
	<-c.broke()
	_ = c.Close()
	if err := <-stalled; err == nil {
		t.Error("a connection that stalls went on")
	}
}
