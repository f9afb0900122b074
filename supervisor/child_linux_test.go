// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

// behaviour is what a child of ours is told to do: its configuration.
type behaviour struct {
	Listen []string `json:",omitempty"` // accepts there when activated, and answers with its pid
	Asks   []string `json:",omitempty"` // like Listen, but its configuration says nothing of it
	Fails  string   `json:",omitempty"` // says so and exits with 1, before it is ready
	Exits  int      `json:",omitempty"` // exits with this code before it is ready
	Never  bool     `json:",omitempty"` // gets never ready
	Defies bool     `json:",omitempty"` // ends by SIGKILL alone
	Drains bool     `json:",omitempty"` // never ends draining
	Breaks bool     `json:",omitempty"` // says something that is no message, once it serves
	Filler string   `json:",omitempty"`
	Offset int      `json:",omitempty"` // makes one configuration differ from another
}

// childSpec runs this binary as a child that behaves so.
func childSpec(t *testing.T, b behaviour, adjust ...func(*Spec)) *Spec {
	t.Helper()
	config, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spec := &Spec{
		Command: []string{self}, Env: append(os.Environ(), envTest+"=child"), Config: config,
		Restart: restart.Policy{Delay: 10 * time.Millisecond, MaxDelay: 10 * time.Millisecond}, ReadyTimeout: patience, DrainTimeout: patience,
	}
	for _, f := range adjust {
		f(spec)
	}
	return spec
}

// childMain is a child that speaks our protocol.
func childMain() int {
	number, _ := strconv.Atoi(os.Getenv(control.Env))
	raw, dupErr := unix.Dup(number)
	link, hello, err := control.Connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 9
	}
	var b behaviour
	if err := json.Unmarshal(hello.Config, &b); err != nil {
		_ = link.Failed(err)
		return 9
	}
	requests, err := account.Inherit()
	if err != nil || requests == nil {
		_ = link.Failed(fmt.Errorf("no account: %w", err))
		return 9
	}
	c := &child{b: b, link: link, requests: requests, activated: make(chan struct{}), packets: make(chan struct{}), end: make(chan int, 10)}
	go link.Serve(c.orders())
	if err := c.load(); err != nil {
		_ = link.Failed(err)
		return 1
	}
	if !b.Never {
		_ = link.Ready()
	}
	if b.Breaks && dupErr == nil {
		_, _ = unix.Write(raw, []byte("no message\n"))
	}
	beat := time.NewTicker(20 * time.Millisecond)
	for {
		select {
		case code := <-c.end:
			return code
		case <-beat.C:
			_ = link.Beat()
		}
	}
}

type child struct {
	b           behaviour
	link        *control.Link
	requests    *account.Writer
	activated   chan struct{}
	unbound     bool // it is to say when it has its sockets
	packets     chan struct{}
	end         chan int
	listeners   []net.Listener
	packetConns []net.PacketConn
}

// load does before readiness what b says.
func (c *child) load() error {
	env, _ := json.Marshal(os.Environ())
	_ = c.link.Report("env", env)
	size, _ := json.Marshal(len(c.b.Filler))
	_ = c.link.Report("filler", size)
	for _, address := range slices.Concat(c.b.Listen, c.b.Asks) {
		network, rest, perm, err := splitListen(address)
		if err != nil {
			return err
		}
		file, err := c.link.Listen(network, rest, perm)
		if err != nil {
			return err
		}
		if strings.HasPrefix(network, "udp") {
			pc, err := net.FilePacketConn(file)
			_ = file.Close()
			if err != nil {
				return err
			}
			c.packetConns = append(c.packetConns, pc)
			go c.servePackets(pc)
			continue
		}
		ln, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return err
		}
		c.listeners = append(c.listeners, ln)
		go c.serve(ln)
	}
	if c.b.Exits > 0 {
		fmt.Fprintln(os.Stderr, "the last words")
		os.Exit(c.b.Exits)
	}
	if c.b.Fails != "" {
		return errors.New(c.b.Fails)
	}
	return nil
}

// serve answers every connection with this process's id.
func (c *child) serve(ln net.Listener) {
	<-c.activated
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(conn, os.Getpid())
		_ = conn.Close()
	}
}

// servePackets answers every packet with this process's id.
func (c *child) servePackets(pc net.PacketConn) {
	<-c.packets
	buf := make([]byte, 100)
	for {
		_, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = pc.WriteTo([]byte(strconv.Itoa(os.Getpid())), from)
	}
}

func (c *child) orders() control.Orders {
	end := func(code int) {
		if !c.b.Defies {
			c.end <- code
		}
	}
	leave := func() {
		for _, ln := range c.listeners {
			_ = ln.Close()
		}
		for _, pc := range c.packetConns {
			_ = pc.Close()
		}
		_ = c.link.Released()
	}
	return control.Orders{
		Unbind: func() { c.unbound = true },
		Activate: func() {
			close(c.activated)
			if c.unbound {
				_ = c.link.Bound()
			}
		},
		Packets: func() { close(c.packets) },
		Drain: func(time.Duration) {
			leave()
			if !c.b.Drains {
				end(0)
			}
		},
		Stop: func(mode control.Mode) {
			leave()
			if mode == control.Force {
				end(2)
			}
			end(0)
		},
		Orphaned: func(error) { end(0) },
		Tell:     c.told,
	}
}

// told does what a test says.
func (c *child) told(topic string, data json.RawMessage) {
	switch topic {
	case "panic":
		panic("somebody said so")
	case "before":
		select {
		case <-c.activated:
			panic("it was told too late")
		default:
			_ = c.link.Report("before", data)
		}
	case "deliver": // the link's goroutine brings the answer
		go func() {
			said := map[string]string{}
			for _, topic := range []string{"taken", "refused"} {
				if err := c.link.Deliver(topic, data); err != nil {
					said[topic] = err.Error()
				}
			}
			answers, _ := json.Marshal(said)
			_ = c.link.Report("answers", answers)
		}()
	case "requests": // which it has in progress from now on
		var begun []account.Request
		_ = json.Unmarshal(data, &begun)
		for _, r := range begun {
			e := new(account.Entry)
			c.requests.Begin(e, &account.Begin{Time: r.Begun.UnixNano(), Method: r.Method, Host: r.Host, Path: r.Path, ID: r.ID, Unsafe: r.Unsafe})
			e.At(r.Pool, r.Backend)
			if r.Written {
				e.Written()
			}
		}
		_ = c.link.Report("requests", data)
	case "exit":
		code := 0
		_ = json.Unmarshal(data, &code)
		c.end <- code
	case "spawn": // a grandchild in the same process group, which outlives us
		self, _ := os.Executable()
		null, _ := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		grandchild, err := os.StartProcess(self, []string{self}, &os.ProcAttr{
			Env: []string{envTest + "=sleeper"}, Files: []*os.File{null, null, null},
		})
		if err != nil {
			panic(err)
		}
		pid, _ := json.Marshal(grandchild.Pid)
		_ = c.link.Report("spawned", pid)
	}
}

// sleeperMain is a program that ends by a signal that it cannot handle.
func sleeperMain() int {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	select {}
}
