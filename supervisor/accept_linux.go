// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const acceptPoll = 20 * time.Millisecond

// awaitAccept returns true when the program has taken a connection out of a held
// socket's queue: somebody's who waits there already, or one that is made for
// this. It returns false when the program is gone, the kernel does not tell, or
// another process uses the socket: it may be that one which accepts.
func (s *Supervisor) awaitAccept(p *process, network, address string) bool {
	fd, ok := s.sockets.look(network, address)
	if !ok {
		return false
	}
	defer closeFiles([]int{fd})
	before, ok := queued(fd)
	if !ok || !s.sockets.alone(p.id, network, address) {
		return false
	}
	if before == 0 {
		conn := dialSelf(p, fd)
		if conn == nil {
			return false
		}
		defer conn.Close()
		before = 1
	}
	tick := time.NewTicker(acceptPoll)
	defer tick.Stop()
	for {
		now, ok := queued(fd)
		if !ok || !s.sockets.alone(p.id, network, address) {
			return false
		}
		// Only accepting makes a queue shorter.
		if now < before {
			return true
		}
		before = now
		select {
		case <-p.gone:
			return false
		case <-tick.C:
		}
	}
}

// queued is the number of connections in a listening socket's queue: the kernel
// tells it in the field that counts unacknowledged segments of others.
func queued(fd int) (n uint32, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return info.Unacked, true
}

// dialSelf connects to the socket, for as long as p lives; nil if that fails.
func dialSelf(p *process, fd int) net.Conn {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
	ctx, cancel := p.lifetime()
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", reachable(name))
	if err != nil {
		return nil
	}
	return conn
}

// reachable is an address of this machine that leads to a socket bound to name.
func reachable(name unix.Sockaddr) string {
	addr := new(net.TCPAddr)
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		addr.IP, addr.Port = net.IP(n.Addr[:]), n.Port
	case *unix.SockaddrInet6:
		addr.IP, addr.Port = net.IP(n.Addr[:]), n.Port
	}
	if addr.IP.IsUnspecified() {
		if addr.IP.To4() != nil {
			addr.IP = net.IPv4(127, 0, 0, 1)
		} else {
			addr.IP = net.IPv6loopback
		}
	}
	return addr.String()
}
