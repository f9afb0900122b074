// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const acceptPoll = 20 * time.Millisecond

// awaitAccept connects to a held socket and returns true when the program has
// taken the connection out of the queue: the kernel tells a listening socket's
// backlog in the field that counts unacknowledged segments of others. It returns
// false when the program is gone or the kernel does not tell.
func (s *Supervisor) awaitAccept(p *process, network, address string) bool {
	fd, err := s.sockets.Lend(p.id, network, address, 0)
	if err != nil {
		return false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	var d net.Dialer
	conn, err := d.Dial("tcp", reachable(name))
	if err != nil {
		return false
	}
	defer conn.Close()
	tick := time.NewTicker(acceptPoll)
	defer tick.Stop()
	for {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return false
		}
		if info.Unacked == 0 {
			return true
		}
		select {
		case <-p.gone:
			return false
		case <-tick.C:
		}
	}
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
