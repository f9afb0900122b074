// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"net"
	"sync"
	"time"
)

// packetConn is a datagram socket that the parent holds. Exactly one child reads
// it at a time, because a packet goes to whoever reads first: reading begins when
// the parent says that nobody else does, and ends when this child leaves.
//
// It deliberately has no way to the socket beneath: QUIC would read past the gate.
type packetConn struct {
	conn net.PacketConn
	rt   *childRuntime

	closed    chan struct{}
	closeOnce sync.Once
	leftOnce  sync.Once
	left      chan struct{}
}

func (rt *childRuntime) newPacketConn(pc net.PacketConn) *packetConn {
	p := &packetConn{conn: pc, rt: rt, closed: make(chan struct{}), left: make(chan struct{})}
	rt.mu.Lock()
	rt.datagrams[p] = struct{}{}
	rt.mu.Unlock()
	return p
}

func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case <-p.rt.packets:
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
	select {
	case <-p.left:
	default:
		n, addr, err := p.conn.ReadFrom(b)
		if err == nil || !closed(p.left) {
			return n, addr, err
		}
	}
	<-p.closed
	return 0, nil, net.ErrClosed
}

// release ends reading; packets for clients can still be written.
func (p *packetConn) release() {
	p.leftOnce.Do(func() {
		close(p.left)
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
	})
}

func (p *packetConn) Close() error {
	var err error
	p.closeOnce.Do(func() {
		close(p.closed)
		p.rt.mu.Lock()
		delete(p.rt.datagrams, p)
		p.rt.mu.Unlock()
		err = p.conn.Close()
	})
	return err
}

func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) { return p.conn.WriteTo(b, addr) }
func (p *packetConn) LocalAddr() net.Addr                          { return p.conn.LocalAddr() }
func (p *packetConn) SetDeadline(t time.Time) error                { return p.conn.SetDeadline(t) }
func (p *packetConn) SetReadDeadline(t time.Time) error            { return p.conn.SetReadDeadline(t) }

func (p *packetConn) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }

// SetReadBuffer and SetWriteBuffer let QUIC ask for the buffers it needs.
func (p *packetConn) SetReadBuffer(n int) error {
	if c, ok := p.conn.(*net.UDPConn); ok {
		return c.SetReadBuffer(n)
	}
	return nil
}

// SetWriteBuffer sets the size of the send buffer.
func (p *packetConn) SetWriteBuffer(n int) error {
	if c, ok := p.conn.(*net.UDPConn); ok {
		return c.SetWriteBuffer(n)
	}
	return nil
}
