// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"io"
	"net"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// socketCopy is this process's copy of a socket that the parent holds. A process that
// waits to come back after a roll-back has none until it serves: on an address that the
// process which serves does not have, users would wait for it in vain.
type socketCopy[S io.Closer] struct {
	take func() (S, error) // asks the parent for it; nil where it is not asked again

	held atomic.Pointer[S]              // nil is none
	mu   lockorder.Mutex[socketCopy[S]] // for changes
	over bool                           // by mu: it is closed for good
}

// get returns the socket if there is one.
func (c *socketCopy[S]) get() (s S, ok bool) {
	if held := c.held.Load(); held != nil {
		return *held, true
	}
	return s, false
}

// put makes s the copy. It is closed at once if there is one already, or if the copy is
// closed for good.
func (c *socketCopy[S]) put(s S) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.held.Load() != nil {
		_ = s.Close()
		return
	}
	c.held.Store(&s)
}

// unbind closes the copy until bind, if it can be had again.
func (c *socketCopy[S]) unbind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.held.Load(); held != nil && c.take != nil {
		c.held.Store(nil)
		_ = (*held).Close()
	}
}

// bind takes the socket from the parent if there is no copy of it.
func (c *socketCopy[S]) bind() error {
	if _, ok := c.get(); ok || c.take == nil {
		return nil
	}
	s, err := c.take()
	if err == nil {
		c.put(s)
	}
	return err
}

// close closes the copy for good.
func (c *socketCopy[S]) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if held := c.held.Load(); held != nil {
		return (*held).Close()
	}
	return nil
}

// bindable is a *listener or a *packetConn.
type bindable interface {
	bind() error
	unbind()
	Addr() net.Addr
	Close() error
}

// bound takes the socket of s, unless this process takes none before it is activated.
func (rt *childRuntime) bound(s bindable) (any, error) {
	if rt.unbound.Load() {
		return s, nil
	}
	if err := s.bind(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// sockets are all that this process has, or will have.
func (rt *childRuntime) sockets() (all []bindable) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for l := range rt.listeners {
		all = append(all, l)
	}
	for p := range rt.datagrams {
		all = append(all, p)
	}
	return all
}

// unbind closes this process's copies of all sockets, until it is activated.
func (rt *childRuntime) unbind() {
	if !control.PassesSockets || closed(rt.activated) {
		return
	}
	rt.unbound.Store(true)
	for _, s := range rt.sockets() {
		s.unbind()
	}
}

// bind takes the sockets, each of which serves from then on. What cannot be had is said.
func (rt *childRuntime) bind() {
	rt.unbound.Store(false)
	for _, s := range rt.sockets() {
		if closed(rt.leaving) {
			return
		}
		if err := s.bind(); err != nil && !closed(rt.leaving) {
			caddy.Log().Named("broker").Error("an address cannot be listened on again: it is not served until another process can",
				zap.Stringer("address", s.Addr()), zap.Error(err))
		}
	}
}
