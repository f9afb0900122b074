// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// maxConns bounds the connections of users whom this process answers; the others
	// wait in the sockets' queues for their turn.
	maxConns = 256
	// turnTime is what each of them has when others wait: the one that has been there for
	// longest, and at least so long, makes room.
	turnTime = 2 * time.Second
)

// places bounds the connections of some listeners together. A client that says nothing
// keeps nobody from being answered.
type places struct {
	free chan struct{} // one element for each connection

	mu    lockorder.Mutex[places]
	conns []*placedConn // by mu; the oldest first
}

func newPlaces() *places { return &places{free: make(chan struct{}, maxConns)} }

// listen makes ln accept a connection when there is a place for it.
func (p *places) listen(ln net.Listener) net.Listener {
	return &placedListener{Listener: ln, places: p, closed: make(chan struct{})}
}

// take waits for a place, and reports false if closed comes before.
func (p *places) take(closed <-chan struct{}) bool {
	for {
		select {
		case p.free <- struct{}{}:
			return true
		default:
		}
		turn := time.NewTimer(p.turn())
		select {
		case p.free <- struct{}{}:
			turn.Stop()
			return true
		case <-closed:
			turn.Stop()
			return false
		case <-turn.C:
			p.end()
		}
	}
}

// turn is how long it takes until the oldest connection has had its turn.
func (p *places) turn() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) == 0 {
		return turnTime
	}
	return turnTime - time.Since(p.conns[0].since)
}

// end ends the oldest connection, if it has had its turn.
func (p *places) end() {
	p.mu.Lock()
	var oldest *placedConn
	if len(p.conns) > 0 && time.Since(p.conns[0].since) >= turnTime {
		oldest = p.conns[0]
	}
	p.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

func (p *places) enter(conn net.Conn) net.Conn {
	c := &placedConn{Conn: conn, since: time.Now()}
	c.leave = sync.OnceFunc(func() {
		p.mu.Lock()
		p.conns = slices.DeleteFunc(p.conns, func(o *placedConn) bool { return o == c })
		p.mu.Unlock()
		<-p.free
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return c
}

type placedListener struct {
	net.Listener
	places *places
	closed chan struct{}
	once   sync.Once
}

// Accept waits for a place first: what is accepted is answered.
func (l *placedListener) Accept() (net.Conn, error) {
	if !l.places.take(l.closed) {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places.free
		return nil, err
	}
	return l.places.enter(conn), nil
}

// Close ends Accept.
func (l *placedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type placedConn struct {
	net.Conn
	since time.Time
	leave func()
}

// Close ends the connection and frees its place.
func (c *placedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
