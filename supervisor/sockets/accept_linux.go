// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const acceptPoll = 20 * time.Millisecond

// AwaitAccept waits until a user of a held socket has accepted a connection, and
// reports whether it did: one that waits in the socket's queue already, or one that
// is made for this. It returns false when ctx ends, which must be when the user is
// gone; when the kernel does not show the queue; and when another user has the socket,
// because it may be that one which accepts.
func (h *Holder) AwaitAccept(ctx context.Context, user int, network, address string) bool {
	fd, ok := h.look(network, address)
	if !ok {
		return false
	}
	defer CloseFD(fd)
	before, ok := queued(fd)
	if !ok || !h.Alone(user, network, address) {
		return false
	}
	if before == 0 {
		conn := dialSelf(ctx, fd)
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
		if !ok || !h.Alone(user, network, address) {
			return false
		}
		// Only accepting makes a queue shorter.
		if now < before {
			return true
		}
		before = now
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// queued is the number of connections in a listening socket's queue, which the kernel
// reports in the field that counts the unacknowledged segments of other sockets.
func queued(fd int) (n uint32, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return info.Unacked, true
}

// dialSelf connects to the socket; nil if that fails.
func dialSelf(ctx context.Context, fd int) net.Conn {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
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
