// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// lender is a parent that holds one socket of each kind.
type lender struct {
	tcp   net.Listener
	udp   net.PacketConn
	asked int
	gone  error // why there is nothing to be had; nil is that there is
}

func (l *lender) lent(socket any) (*os.File, error) {
	l.asked++
	if l.gone != nil {
		return nil, l.gone
	}
	return socket.(interface{ File() (*os.File, error) }).File()
}

// lend is what a configuration listens on in rt.
func (l *lender) lend(t *testing.T, rt *childRuntime) (ln *listener, pc *packetConn) {
	t.Helper()
	got, err := rt.lent("tcp", l.tcp.Addr().String(), net.ListenConfig{}, func() (*os.File, error) { return l.lent(l.tcp) })
	if err != nil {
		t.Fatal(err)
	}
	ln = got.(*listener)
	if got, err = rt.lent("udp", l.udp.LocalAddr().String(), net.ListenConfig{}, func() (*os.File, error) { return l.lent(l.udp) }); err != nil {
		t.Fatal(err)
	}
	pc = got.(*packetConn)
	t.Cleanup(func() { _, _ = ln.Close(), pc.Close() })
	return ln, pc
}

func newLender(t *testing.T) *lender {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lender{tcp: ln, udp: pc}
	t.Cleanup(func() { _, _ = l.tcp.Close(), l.udp.Close() })
	return l
}

// A process that is unbound has no sockets, whether it had them or not: when the parent
// closes its own, nobody listens. Once it is bound it serves.
func TestUnbound(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"the start", "later"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			parent, rt := newLender(t), newChildRuntime(nil)
			if from == "the start" {
				rt.unbound.Store(true)
			}
			ln, pc := parent.lend(t, rt)
			if err := pc.SetReadBuffer(1 << 16); err != nil {
				t.Fatal(err)
			}
			if from == "later" {
				rt.unbind()
			} else if parent.asked != 0 {
				t.Errorf("asked for %d sockets", parent.asked)
			}
			tcp, udp := parent.tcp.Addr().String(), parent.udp.LocalAddr().String()
			if ln.Addr().String() != tcp || pc.LocalAddr().String() != udp {
				t.Errorf("the addresses are %s and %s without sockets, not %s and %s", ln.Addr(), pc.LocalAddr(), tcp, udp)
			}
			_, _ = parent.tcp.Close(), parent.udp.Close()
			if conn, err := net.Dial("tcp", tcp); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("somebody listens on %s: %v, %v", tcp, conn, err)
			}

			var err error
			if parent.tcp, err = net.Listen("tcp", tcp); err != nil {
				t.Fatal(err)
			}
			if parent.udp, err = net.ListenPacket("udp", udp); err != nil {
				t.Fatal(err)
			}
			rt.activate()
			<-rt.taken
			if size := receiveBuffer(t, pc); size < 2<<16 { // the kernel doubles it
				t.Errorf("the receive buffer is %d bytes", size)
			}
			accepts(t, ln, tcp)
			rt.readPackets()
			client, err := net.Dial("udp", udp)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 16)
			if n, _, err := pc.ReadFrom(b); err != nil || string(b[:n]) != "hello" {
				t.Errorf("read %q, %v", b[:n], err)
			}
		})
	}
}

// accepts makes a connection that ln has to accept.
func accepts(t *testing.T, ln *listener, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close()
}

// receiveBuffer is the size of a socket's.
func receiveBuffer(t *testing.T, pc *packetConn) (size int) {
	t.Helper()
	raw, err := pc.socket().(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		size, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	}); err != nil || sockErr != nil {
		t.Fatal(err, sockErr)
	}
	return size
}

// An address that takes its time holds up no other one, and what was put into a listener's
// own queue before it had a socket is found.
func TestUnboundOneByOne(t *testing.T) {
	t.Parallel()
	parent, rt := newLender(t), newChildRuntime(nil)
	rt.unbound.Store(true)
	ln, _ := parent.lend(t, rt)
	goOn := make(chan struct{})
	defer close(goOn)
	for range 3 { // whatever comes first
		_ = rt.unboundListener(place{"tcp", "slow.example:80"}, func() (systemListener, error) {
			<-goOn
			return nil, errors.New("no such host")
		}, net.ListenConfig{})
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	if !ln.inject(theirs) {
		t.Fatal("no room")
	}
	if c, err := ln.Accept(); err != nil || c != theirs {
		t.Errorf("accepted %v, %v", c, err)
	}
	if err := ln.bind(); err != nil { // as activate does, in some order
		t.Fatal(err)
	}
	rt.activate()
	accepts(t, ln, parent.tcp.Addr().String())
}

// What cannot be had again is not served, and keeps nothing else from it; what has left
// meanwhile takes nothing any more.
func TestUnboundForGood(t *testing.T) {
	t.Parallel()
	parent, rt := newLender(t), newChildRuntime(nil)
	ln, pc := parent.lend(t, rt)
	rt.unbind()
	parent.gone = errors.New("address already in use")
	rt.activate()
	<-rt.taken
	if conn, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted without a socket: %v, %v", conn, err)
	}
	if _, err := pc.WriteTo([]byte("x"), pc.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("wrote without a socket: %v", err)
	}
	parent.gone = nil
	rt.leave()
	if err := ln.bind(); err != nil {
		t.Fatal(err)
	}
	tcp := parent.tcp.Addr().String()
	_ = parent.tcp.Close()
	if conn, err := net.Dial("tcp", tcp); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a process that has left listens: %v, %v", conn, err)
	}
}
