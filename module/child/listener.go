// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// systemListener is a *net.TCPListener or a *net.UnixListener.
type systemListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

// listener accepts from a socket that the parent holds: not before the child is
// activated, and not after it was told to leave. While it must not accept it
// blocks, so that http.Server keeps its state. Probe connections pass at any time.
type listener struct {
	socket    socketCopy[systemListener]
	addr      net.Addr // of the socket, or what it was asked for by
	rt        *childRuntime
	keepAlive net.KeepAliveConfig
	injected  chan net.Conn

	tried     atomic.Pointer[chan struct{}] // closed: there is a socket, or none can be had
	accepting lockorder.Mutex[listener]     // held from asking the system for a connection until it is counted
	closed    chan struct{}
	closeOnce sync.Once
}

func (rt *childRuntime) newListener(ln net.Listener, cfg net.ListenConfig) net.Listener {
	sys, ok := ln.(systemListener)
	if !ok { // no such listener exists on the systems that pass sockets
		return ln
	}
	l := rt.unboundListener(ln.Addr(), nil, cfg)
	l.socket.put(sys)
	_ = l.bind()
	return l
}

// unboundListener has no socket until it is bound.
func (rt *childRuntime) unboundListener(addr net.Addr, take func() (systemListener, error), cfg net.ListenConfig) *listener {
	l := &listener{
		addr: addr, rt: rt, keepAlive: cfg.KeepAliveConfig,
		injected: make(chan net.Conn, 1), closed: make(chan struct{}),
	}
	l.socket.take = take
	l.tried.Store(new(make(chan struct{})))
	rt.mu.Lock()
	rt.listeners[l] = struct{}{}
	rt.mu.Unlock()
	return l
}

// Addr is the address of the socket.
func (l *listener) Addr() net.Addr {
	if sys, ok := l.socket.get(); ok {
		return sys.Addr()
	}
	return l.addr
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case c := <-l.injected:
			return c, nil
		default:
		}
		if !l.open() {
			select {
			case <-l.closed:
				return nil, net.ErrClosed
			case c := <-l.injected:
				return c, nil
			case <-l.gate():
			}
			continue
		}
		c, err := l.accept()
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Somebody wants our attention. What he put into the queue was put
			// there before, so it is seen now.
			l.setDeadline(time.Time{})
		case closed(l.rt.leaving) || closed(l.closed):
		default:
			return nil, err
		}
	}
}

// accept takes a connection from the system's queue and counts it.
func (l *listener) accept() (net.Conn, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	sys, ok := l.socket.get()
	if !ok {
		return nil, net.ErrClosed
	}
	c, err := sys.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

func (l *listener) setDeadline(t time.Time) {
	if sys, ok := l.socket.get(); ok {
		_ = sys.SetDeadline(t)
	}
}

// open reports whether the system's queue may be read.
func (l *listener) open() bool {
	return closed(l.rt.activated) && closed(*l.tried.Load()) && !closed(l.rt.leaving)
}

// gate is closed when open may have changed to true; nil for ever after leaving.
func (l *listener) gate() <-chan struct{} {
	if closed(l.rt.leaving) {
		return nil
	}
	if !closed(l.rt.activated) {
		return l.rt.activated
	}
	return *l.tried.Load()
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// inject puts c into the listener's own queue; it reports whether there was room.
func (l *listener) inject(c net.Conn) bool {
	select {
	case l.injected <- c:
		l.setDeadline(time.Unix(1, 0))
		return true
	default:
		return false
	}
}

// put is inject that waits for room.
func (l *listener) put(ctx context.Context, c net.Conn) error {
	select {
	case l.injected <- c:
		l.setDeadline(time.Unix(1, 0))
		return nil
	case <-l.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *listener) bind() error {
	err := l.socket.bind()
	if tried := *l.tried.Load(); !closed(tried) {
		close(tried)
	}
	l.setDeadline(time.Unix(1, 0)) // what was injected before was not seen
	return err
}

func (l *listener) unbind() {
	l.tried.Store(new(make(chan struct{})))
	l.socket.unbind()
}

// release closes this process's copy of the socket. The parent's stays, and with
// it the queue of those who wait. When it returns, every connection that was
// taken from there is counted: nobody may find that none is left before.
func (l *listener) release() {
	_ = l.socket.close()
	l.accepting.Lock()
	defer l.accepting.Unlock()
}

// Close ends Accept. It may be called more than once: http.Server does.
func (l *listener) Close() error {
	l.closeOnce.Do(func() {
		close(l.closed)
		l.rt.mu.Lock()
		delete(l.rt.listeners, l)
		l.rt.mu.Unlock()
		l.release()
	})
	return nil
}

// wrap makes a connection counted. The concrete types stay reachable, so that
// the kernel can still move the bytes (splice, sendfile).
func (l *listener) wrap(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		if l.keepAlive.Enable {
			_ = c.SetKeepAliveConfig(l.keepAlive)
		} else {
			_ = c.SetKeepAlive(false)
		}
		t := &tcpConn{TCPConn: c, rt: l.rt}
		l.rt.track(t)
		return t
	case *net.UnixConn:
		u := &unixConn{UnixConn: c, rt: l.rt}
		l.rt.track(u)
		return u
	default:
		return c
	}
}

type tcpConn struct {
	*net.TCPConn
	rt *childRuntime
}

func (c *tcpConn) Close() error {
	c.rt.untrack(c)
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	rt *childRuntime
}

func (c *unixConn) Close() error {
	c.rt.untrack(c)
	return c.UnixConn.Close()
}
