// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/relay"
)

// relayParent is a parent that knows ways for datagrams and nothing else. asked is called
// before it answers.
func relayParent(t *testing.T, ways *relay.Registry, id int, asked func(which string)) *control.Link {
	t.Helper()
	cmd := exec.Command("true") // it is never run
	wire, release, err := control.Attach(cmd)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(cmd.ExtraFiles[0].Fd()))
	release()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(control.Env, strconv.Itoa(fd))
	if err := wire.Send(control.Message{Kind: control.KindHello}); err != nil {
		t.Fatal(err)
	}
	link, _, err := control.Connect()
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() { link.Serve(control.Orders{Orphaned: func(error) {}}) })
	both.Go(func() {
		for {
			m, err := wire.Recv()
			if err != nil {
				return
			}
			if m.Kind != control.KindListen {
				continue
			}
			asked(m.Address)
			fd, err := ways.Lend(id, m.Address == control.RelayOwn)
			if err != nil {
				_ = wire.Send(control.Message{Kind: control.KindListened, ID: m.ID, Error: err.Error()})
				continue
			}
			_ = wire.Send(control.Message{Kind: control.KindListened, ID: m.ID}, fd)
			_ = unix.Close(fd)
		}
	})
	t.Cleanup(func() {
		_ = wire.Close()
		both.Wait()
		ways.Leave(id)
	})
	return link
}

// shares is another descriptor of the same socket.
func shares(t *testing.T, conn net.PacketConn) net.PacketConn {
	t.Helper()
	file, err := conn.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	same, err := net.FilePacketConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return same
}

// replaceHTTP3 does what drain does at its beginning.
func replaceHTTP3(t *testing.T, rt *childRuntime) (moved <-chan struct{}) {
	t.Helper()
	conn := rt.askRelay()
	if conn == nil {
		t.Fatal("there is no way for datagrams")
	}
	rt.moving.Store(true)
	rt.leave()
	return rt.moveHTTP3(conn)
}

// A child that is replaced finishes its requests over HTTP/3, while the next one serves
// the same client, which has one socket for both connections.
func TestReplacedChildFinishesHTTP3(t *testing.T) {
	var ways relay.Registry
	old := newChildRuntime(relayParent(t, &ways, 1, func(string) {}))
	var next *childRuntime
	next = newChildRuntime(relayParent(t, &ways, 2, func(which string) {
		if which == control.RelayNext && closed(next.packets) {
			t.Error("it reads before it knows to whom datagrams belong")
		}
	}))
	runtime.Store(old)
	t.Cleanup(func() { runtime.Store(nil) })
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	serveHTTP3(t, old, conn, func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path != "/slow" {
			return nil
		}
		close(begun)
		<-goOn
		_, err := io.WriteString(w, strings.Repeat("x", 1_000_000))
		return err
	})
	serveHTTP3(t, next, shares(t, conn), func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "next")
		return err
	})
	old.readPackets()
	transport := newHTTP3Transport(t)
	answer := make(chan string, 1)
	go func() { answer <- ask3(transport, http.MethodPost, conn.LocalAddr(), "/slow") }()
	select {
	case <-begun:
	case got := <-answer:
		t.Fatalf("the request has not arrived: %s", got)
	}

	moved := replaceHTTP3(t, old)
	runtime.Store(next)
	next.readPackets()
	for got := ""; got != "200 4 <nil>"; {
		if got = ask3(transport, http.MethodPost, conn.LocalAddr(), "/quick"); !strings.HasPrefix(got, "200 ") {
			t.Fatalf("a request after the replacement: %s", got)
		}
	}
	select {
	case got := <-answer:
		t.Errorf("the request in progress ended with %s", got)
	case <-moved:
		t.Error("the connections were ended before the request was")
	default:
	}
	close(goOn)
	if got, want := <-answer, "200 1000000 <nil>"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	<-moved
	if got, want := ask3(transport, http.MethodPost, conn.LocalAddr(), "/quick"), "200 4 <nil>"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
}

// A child reads on what the next one does not: a listener that was taken out of the
// configuration has requests, too.
func TestReplacedChildKeepsOldSocket(t *testing.T) {
	var ways relay.Registry
	rt := newChildRuntime(relayParent(t, &ways, 1, func(string) {}))
	next := newChildRuntime(relayParent(t, &ways, 2, func(string) {}))
	goOn, _, answer := inProgress(t, rt)
	moved := replaceHTTP3(t, rt)
	next.readPackets()
	close(goOn)
	if got, want := <-answer, "200 100000 <nil>"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	<-moved
	next.closeHTTP3()
}

// Where no process is left that could read, the connections are cut, and the request is
// listed.
func TestReplacedChildWithoutReader(t *testing.T) {
	var ways relay.Registry
	rt := newChildRuntime(relayParent(t, &ways, 1, func(string) {}))
	rt.account = account.New()
	goOn, returned, answer := inProgress(t, rt)
	moved := replaceHTTP3(t, rt)
	ways.Leave(1)
	<-moved
	if got := <-answer; !strings.HasPrefix(got, "cut: ") {
		t.Errorf("the request ended with %s", got)
	}
	if again, _ := rt.inDoubt("later", everyRequest); len(again) > 0 {
		t.Errorf("in doubt, and not told before, are %+v", again)
	}
	close(goOn)
	<-returned
}
