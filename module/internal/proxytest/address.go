// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxytest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// deadAddresses holds what keeps an address from being anybody else's.
var deadAddresses sync.Map

// DeadAddress is an address where nobody listens, and nobody will, because it is
// one end of a connection: a free one could become that of the proxy itself, which
// would then go round in circles.
func DeadAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	// A port that was bound is no other connection's either.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	conn, err := d.DialContext(tb.Context(), "tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	address := conn.LocalAddr().String()
	deadAddresses.Store(address, conn)
	tb.Cleanup(func() {
		deadAddresses.Delete(address)
		_ = conn.Close()
		_ = l.Close()
	})
	return address
}

// Revive listens at a dead address.
func Revive(tb testing.TB, address string) net.Listener {
	tb.Helper()
	if conn, ok := deadAddresses.LoadAndDelete(address); ok {
		_ = conn.(*net.TCPConn).SetLinger(0) // the address is free at once
		_ = conn.(net.Conn).Close()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// Ports that the kernel gives to no client by itself.
const (
	lowestPort  = 12000
	highestPort = 32000
)

// ListenAgain listens at an address where the test can listen again after it has
// closed the listener: no connection has taken the port by then.
func ListenAgain(tb testing.TB) net.Listener {
	tb.Helper()
	var err error
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l
		}
	}
	tb.Fatal(err)
	return nil
}
