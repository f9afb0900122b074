// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestOwnSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if !new(socketBook).listens(at) {
		t.Errorf("this process is not known to listen at %s", at)
	}
	any, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer any.Close()
	if at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), any.Addr().(*net.TCPAddr).AddrPort().Port()); !new(socketBook).listens(at) {
		t.Errorf("a socket for all addresses is not known to listen at %s", at)
	}
	if at := netip.MustParseAddrPort("192.0.2.1:" + fmt.Sprint(any.Addr().(*net.TCPAddr).Port)); new(socketBook).listens(at) {
		t.Errorf("%s is not of this machine", at)
	}
	book := &socketBook{parent: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:2019")}}
	if !book.listens(netip.MustParseAddrPort("192.0.2.1:2019")) {
		t.Error("the parent's socket is not known")
	}
}
