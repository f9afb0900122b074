// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package backend

import (
	"net"
	"testing"
	"time"
)

// A connection that was made before the gate was shut is not left in the queue.
func TestDropLeavesNobodyInTheQueue(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l.(*net.TCPListener), func() bool { return false })
	defer g.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := g.drop(true); err != nil {
		t.Fatal(err)
	}
	served := make(chan net.Conn)
	go func() {
		conn, _ := g.Accept()
		served <- conn
	}()
	select {
	case conn := <-served:
		if conn.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("served %s, want the client at %s", conn.RemoteAddr(), client.LocalAddr())
		}
		_ = conn.Close()
	case <-time.After(10 * time.Second):
		t.Error("the client is in the queue for ever")
		if err := g.drop(false); err != nil {
			t.Fatal(err)
		}
		_ = (<-served).Close()
	}
	if conn, err := net.DialTimeout("tcp", l.Addr().String(), silence); err == nil {
		_ = conn.Close()
		t.Error("the queue is not full")
	}
	if err := g.drop(false); err != nil {
		t.Fatal(err)
	}
}
