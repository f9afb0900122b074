// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
)

// connOf makes a connection of a descriptor.
func connOf(t *testing.T, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "way")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// replaced is a process that was replaced, and notes what it is handed.
type replaced struct {
	conn net.Conn
	got  chan string
	over chan error
}

func newReplaced(t *testing.T, r *Registry, id int) *replaced {
	t.Helper()
	fd, err := r.Lend(id, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &replaced{conn: connOf(t, fd), got: make(chan string, 100), over: make(chan error, 1)}
	go func() {
		p.over <- Receiver{
			Sockets: func(names []string) {
				for _, name := range names {
					p.got <- "reads " + name
				}
			},
			Datagram: func(socket string, from netip.AddrPort, datagram []byte) {
				p.got <- socket + " " + from.String() + " " + string(datagram)
			},
		}.Receive(p.conn)
	}()
	return p
}

func (p *replaced) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-p.got:
			if got != w {
				t.Errorf("got %q, want %q", got, w)
			}
		case err := <-p.over:
			t.Fatalf("it is over (%v), want %q", err, w)
		}
	}
}

// reader is a process that begins to read.
func reader(t *testing.T, r *Registry, id int) *Sender {
	t.Helper()
	s := new(Sender)
	for {
		fd, err := r.Lend(id, false)
		if errors.Is(err, ErrNone) {
			return s
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Add(connOf(t, fd), []string{"udp/:443"})
	}
}

var (
	alice = netip.MustParseAddrPort("192.0.2.1:1000")
	bob   = netip.MustParseAddrPort("192.0.2.2:2000")
)

// Every process that was replaced gets what may be its own, from each reader in turn, and
// never what begins a connection.
func TestDatagramsReachReplacedProcesses(t *testing.T) {
	t.Parallel()
	var r Registry
	one := newReplaced(t, &r, 1)
	s := reader(t, &r, 2)
	s.Forward("udp/:443", alice, []byte("@first"))
	s.Forward("udp/:443", alice, long(1, 0, "12345678", "", "\x00")) // a new connection
	s.Forward("udp/:443", bob, []byte("@second"))
	one.want(t, "reads udp/:443", "udp/:443 192.0.2.1:1000 @first", "udp/:443 192.0.2.2:2000 @second")

	two := newReplaced(t, &r, 2)
	s.Close()
	s.Forward("udp/:443", alice, []byte("@lost"))
	s = reader(t, &r, 3)
	s.Forward("udp/:443", alice, []byte("@third"))
	one.want(t, "reads udp/:443", "udp/:443 192.0.2.1:1000 @third")
	two.want(t, "reads udp/:443", "udp/:443 192.0.2.1:1000 @third")

	// One that has ended gets nothing, and keeps nothing from the other.
	_ = one.conn.Close()
	<-one.over
	r.Leave(1)
	s.Forward("udp/:443", alice, []byte("@fourth"))
	two.want(t, "udp/:443 192.0.2.1:1000 @fourth")

	// Without a reader that could follow it is over.
	r.Leave(2)
	s.Close()
	if err := <-two.over; err == nil {
		t.Error("it is over without an error")
	}
}

// A reader that was replaced while it was given a way holds none.
func TestNoWayAfterClose(t *testing.T) {
	t.Parallel()
	var r Registry
	p := newReplaced(t, &r, 1)
	s := new(Sender)
	s.Close()
	fd, err := r.Lend(2, false)
	if err != nil {
		t.Fatal(err)
	}
	s.Add(connOf(t, fd), nil)
	r.Leave(1)
	if err := <-p.over; err == nil {
		t.Error("it is over without an error")
	}
}

// A process that names its clients gets what they send, and no more.
func TestClientsThatAreWanted(t *testing.T) {
	t.Parallel()
	var r Registry
	p := newReplaced(t, &r, 1)
	s := reader(t, &r, 2)
	p.want(t, "reads udp/:443")
	if err := Want(p.conn, []netip.AddrPort{bob}); err != nil {
		t.Fatal(err)
	}
	for {
		if all := s.former.Load(); (*all)[0].clients.Load() != nil {
			break
		}
		runtime.Gosched()
	}
	s.Forward("udp/:443", alice, []byte("@not this"))
	mapped := netip.AddrPortFrom(netip.AddrFrom16(bob.Addr().As16()), bob.Port()) // as a socket of both families says it
	s.Forward("udp/:443", mapped, []byte("@this"))
	p.want(t, "udp/:443 "+mapped.String()+" @this")
	if err := Want(p.conn, slices.Repeat([]netip.AddrPort{bob}, MaxClients)); err != nil {
		t.Errorf("naming %d clients: %v", MaxClients, err)
	}
	s.Close()
}

// Nothing waits for a process that does not read, and it loses what is too much for it.
func TestStuckProcessStopsNothing(t *testing.T) {
	t.Parallel()
	var r Registry
	if _, err := r.Lend(1, true); err != nil { // the end of it is never read
		t.Fatal(err)
	}
	two := newReplaced(t, &r, 2)
	s := reader(t, &r, 3)
	two.want(t, "reads udp/:443")
	large := append([]byte("@"), bytes.Repeat([]byte("x"), 1200)...)
	for range 5000 {
		s.Forward("udp/:443", alice, large)
		two.want(t, "udp/:443 192.0.2.1:1000 "+string(large))
	}
	s.Close()
	r.Leave(1)
	r.Leave(2)
}
