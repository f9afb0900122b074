// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/relay"
)

// packetConn is a datagram socket that the parent holds. Exactly one child reads
// it at a time, because a packet goes to whoever reads first: reading begins when
// the parent says that nobody else does, and ends when this child leaves. From then on
// there is what the next child, which reads, hands on.
//
// It deliberately has no way to the socket beneath: QUIC would read past the gate.
type packetConn struct {
	conn socketCopy[net.PacketConn]
	addr net.Addr // of the socket, or what it was asked for by
	name string   // network and address, by which other children know it
	rt   *childRuntime

	readBuffer, writeBuffer atomic.Int64 // what QUIC has asked for; 0 is nothing

	closed    chan struct{}
	closeOnce sync.Once
	leftOnce  sync.Once
	left      chan struct{}
	keepOnce  sync.Once
	kept      chan struct{}
	handed    chan handedPacket
}

// handedPacket is a datagram that another child has read.
type handedPacket struct {
	from netip.AddrPort
	data []byte
}

// maxHanded is how many datagrams may wait for QUIC; more are lost, as in a socket.
const maxHanded = 512

func (rt *childRuntime) newPacketConn(pc net.PacketConn, name string) *packetConn {
	p := rt.unboundPacketConn(pc.LocalAddr(), name, nil)
	p.conn.put(pc)
	return p
}

// unboundPacketConn has no socket until it is bound.
func (rt *childRuntime) unboundPacketConn(addr net.Addr, name string, take func() (net.PacketConn, error)) *packetConn {
	p := &packetConn{
		addr: addr, name: name, rt: rt, closed: make(chan struct{}),
		left: make(chan struct{}), kept: make(chan struct{}), handed: make(chan handedPacket, maxHanded),
	}
	p.conn.take = take
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
	if !closed(p.left) {
		n, addr, err := p.socket().ReadFrom(b)
		if err == nil {
			p.rt.note(b[:n])
			p.rt.handOn(p.name, addr, b[:n])
		}
		if err == nil || !closed(p.left) {
			return n, addr, err
		}
	}
	for {
		select {
		case <-p.closed:
			return 0, nil, net.ErrClosed
		case h := <-p.handed:
			return copy(b, h.data), net.UDPAddrFromAddrPort(h.from), nil
		case <-p.kept:
			// No other process reads here, and there are no new connections to be had.
			n, addr, err := p.socket().ReadFrom(b)
			if err != nil || !relay.Begins(b[:n]) {
				return n, addr, err
			}
		}
	}
}

// handOn gives a datagram that was read to the processes that may need it.
func (rt *childRuntime) handOn(name string, from net.Addr, data []byte) {
	if addr, ok := from.(*net.UDPAddr); ok {
		rt.sender.Forward(name, addr.AddrPort(), data)
	}
}

// release ends reading; packets for clients can still be written.
func (p *packetConn) release() {
	p.leftOnce.Do(func() {
		close(p.left)
		_ = p.socket().SetReadDeadline(time.Unix(1, 0))
	})
}

// deliver takes a datagram that another child has read.
func (p *packetConn) deliver(from netip.AddrPort, data []byte) {
	p.rt.note(data)
	select {
	case p.handed <- handedPacket{from, data}:
	default:
	}
}

// keep begins to read again after release: the next child has no such socket.
func (p *packetConn) keep() {
	p.keepOnce.Do(func() {
		_ = p.socket().SetReadDeadline(time.Time{})
		close(p.kept)
	})
}

func (p *packetConn) Close() error {
	var err error
	p.closeOnce.Do(func() {
		close(p.closed)
		p.rt.mu.Lock()
		delete(p.rt.datagrams, p)
		p.rt.mu.Unlock()
		err = p.conn.close()
	})
	return err
}

// socket is the system's socket, or what stands for it.
func (p *packetConn) socket() net.PacketConn {
	if pc, ok := p.conn.get(); ok {
		return pc
	}
	return noSocket{p.addr}
}

// noSocket is what a packetConn has instead of a socket.
type noSocket struct{ addr net.Addr }

func (noSocket) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, net.ErrClosed }
func (noSocket) WriteTo([]byte, net.Addr) (int, error)  { return 0, net.ErrClosed }
func (noSocket) Close() error                           { return nil }
func (n noSocket) LocalAddr() net.Addr                  { return n.addr }
func (noSocket) SetDeadline(time.Time) error            { return nil }
func (noSocket) SetReadDeadline(time.Time) error        { return nil }
func (noSocket) SetWriteDeadline(time.Time) error       { return nil }

func (p *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	p.rt.note(b)
	return p.socket().WriteTo(b, addr)
}

func (p *packetConn) LocalAddr() net.Addr                { return p.socket().LocalAddr() }
func (p *packetConn) SetDeadline(t time.Time) error      { return p.socket().SetDeadline(t) }
func (p *packetConn) SetReadDeadline(t time.Time) error  { return p.socket().SetReadDeadline(t) }
func (p *packetConn) SetWriteDeadline(t time.Time) error { return p.socket().SetWriteDeadline(t) }

// SetReadBuffer and SetWriteBuffer let QUIC ask for the buffers it needs.
func (p *packetConn) SetReadBuffer(n int) error {
	p.readBuffer.Store(int64(n))
	if c, ok := p.socket().(*net.UDPConn); ok {
		return c.SetReadBuffer(n)
	}
	return nil
}

// SetWriteBuffer sets the size of the send buffer.
func (p *packetConn) SetWriteBuffer(n int) error {
	p.writeBuffer.Store(int64(n))
	if c, ok := p.socket().(*net.UDPConn); ok {
		return c.SetWriteBuffer(n)
	}
	return nil
}

// bind takes the socket if there is none, with the buffers that QUIC has asked for.
func (p *packetConn) bind() error {
	if err := p.conn.bind(); err != nil {
		return err
	}
	if n := p.readBuffer.Load(); n > 0 {
		_ = p.SetReadBuffer(int(n))
	}
	if n := p.writeBuffer.Load(); n > 0 {
		_ = p.SetWriteBuffer(int(n))
	}
	return nil
}

func (p *packetConn) unbind() { p.conn.unbind() }

// Addr is the address of the socket.
func (p *packetConn) Addr() net.Addr { return p.LocalAddr() }
