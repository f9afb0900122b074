// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// What others may take of this process before they have shown that they have the key.
const (
	// maxStreamBytes bounds what is read from one connection, in bytes. It is what a
	// network of 300 brokers with the longest descriptions has to say.
	maxStreamBytes = 256 << 10
	// maxStrangers bounds the connections of those that are not members, together, and
	// maxStranger those of one source: an IPv4 address, or an IPv6 network of 64 bits.
	maxStrangers = 8
	maxStranger  = 4
	// maxMember bounds the connections of a source that a member has.
	maxMember = 8
)

// door is the way into memberlist over TCP. It lets in as many connections at a time
// as above, and ends those that say too much. A member's connections have their own
// bound, so that strangers do not keep members out. The rest is the transport's that it
// wraps.
type door struct {
	*memberlist.NetTransport
	streams chan net.Conn
	isKnown func(netip.Addr) bool
	refused func()
	stop    chan struct{}
	over    sync.WaitGroup

	mu        lockorder.Mutex[door] // guards what follows
	sources   map[netip.Addr]int
	strangers int
}

func newDoor(cfg *memberlist.NetTransportConfig, isKnown func(netip.Addr) bool, refused func()) (*door, error) {
	transport, err := memberlist.NewNetTransport(cfg)
	if err != nil {
		return nil, err
	}
	d := &door{
		NetTransport: transport, streams: make(chan net.Conn), isKnown: isKnown, refused: refused,
		stop: make(chan struct{}), sources: make(map[netip.Addr]int),
	}
	d.over.Add(1)
	go d.watch()
	return d, nil
}

// watch lets connections in until the transport ends.
func (d *door) watch() {
	defer d.over.Done()
	for {
		select {
		case <-d.stop:
			return
		case conn := <-d.NetTransport.StreamCh():
			bounded := d.admit(conn)
			if bounded == nil {
				d.refused()
				_ = conn.Close()
				continue
			}
			select {
			case d.streams <- bounded:
			case <-d.stop:
				_ = bounded.Close()
				return
			}
		}
	}
}

// admit returns the connection with its bounds, or nil if it is one too many.
func (d *door) admit(conn net.Conn) net.Conn {
	source := sourceOf(conn.RemoteAddr())
	known, most := d.isKnown(source), maxStranger
	if known {
		most = maxMember
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sources[source] >= most || !known && d.strangers >= maxStrangers {
		return nil
	}
	d.sources[source]++
	if !known {
		d.strangers++
	}
	return &boundedConn{Conn: conn, left: maxStreamBytes, refused: d.refused, free: sync.OnceFunc(func() { d.leave(source, known) })}
}

func (d *door) leave(source netip.Addr, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sources[source]--; d.sources[source] == 0 {
		delete(d.sources, source)
	}
	if !known {
		d.strangers--
	}
}

// sourceOf is where a connection comes from, as its bounds count.
func sourceOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return ip
}

// StreamCh has the connections that were let in.
func (d *door) StreamCh() <-chan net.Conn { return d.streams }

// DialAddressTimeout connects to another broker, from which no more is read either.
func (d *door) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := d.NetTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return &boundedConn{Conn: conn, left: maxStreamBytes, refused: d.refused, free: func() {}}, nil
}

// DialTimeout is DialAddressTimeout for an address alone.
func (d *door) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return d.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// Shutdown ends the transport, which goes on handing over connections until it has
// ended.
func (d *door) Shutdown() error {
	err := d.NetTransport.Shutdown()
	close(d.stop)
	d.over.Wait()
	return err
}

// boundedConn is a connection of which so many bytes are read.
type boundedConn struct {
	net.Conn
	left    int64
	refused func()
	free    func()
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.refused()
		return 0, fmt.Errorf("reading gossip: more than %d bytes: %w", maxStreamBytes, io.ErrUnexpectedEOF)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Close ends the connection and frees its place.
func (c *boundedConn) Close() error {
	c.free()
	return c.Conn.Close()
}

// Interface guard
var _ memberlist.NodeAwareTransport = (*door)(nil)

// gossipSources are those of which members are known, for requests on any goroutine.
type gossipSources struct {
	now atomic.Pointer[map[netip.Addr]bool]
}

// set replaces them by the hosts of addresses of gossip.
func (g *gossipSources) set(addresses []string) {
	sources := make(map[netip.Addr]bool, len(addresses))
	for _, text := range addresses {
		if at, err := netip.ParseAddrPort(text); err == nil {
			sources[sourceOf(net.TCPAddrFromAddrPort(at))] = true
		}
	}
	g.now.Store(&sources)
}

func (g *gossipSources) has(source netip.Addr) bool {
	sources := g.now.Load()
	return sources != nil && (*sources)[source]
}
