// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary runs itself as the programs that are supervised: envTest says
// as which.
const envTest = "SUPERVISOR_TEST"

func TestMain(m *testing.M) {
	programs := map[string]func() int{
		"child": childMain, "middle": middleMain, "external": externalMain, "sleeper": sleeperMain,
	}
	if program := programs[os.Getenv(envTest)]; program != nil {
		os.Exit(program())
	}
	goleak.VerifyTestMain(m)
}

// patience is how long something may take that follows at once, on a busy machine.
const patience = 30 * time.Second

// watched is a supervisor under test, with what it said.
type watched struct {
	*Supervisor
	t      *testing.T
	events chan Event
	dir    string // of private sockets

	mu      sync.Mutex
	output  strings.Builder
	reports map[string]json.RawMessage // the last of each topic
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.Write(p)
}

// watch makes a supervisor that is closed when the test ends.
func watch(t *testing.T, adjust ...func(*Config)) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("", "sv") // t.TempDir() is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, events: make(chan Event, 10_000), dir: dir, reports: map[string]json.RawMessage{}}
	cfg := Config{
		Name: "default", Stderr: w,
		AdminSocket: func(id int) string { return filepath.Join(dir, fmt.Sprint(id)) },
		Event:       func(e Event) { w.events <- e },
		Report: func(_ int, topic string, data json.RawMessage) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports[topic] = data
		},
	}
	for _, f := range adjust {
		f(&cfg)
	}
	w.Supervisor = New(cfg)
	t.Cleanup(func() {
		w.Close()
		_ = os.RemoveAll(dir)
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("output of the processes:\n%s", w.output.String())
		}
	})
	return w
}

// event waits for the next event of that name.
func (w *watched) event(name string) Event {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-w.events:
			if e.Name == name {
				return e
			}
		case <-timeout:
			w.t.Fatalf("no event %s", name)
		}
	}
}

// other waits until another process than pid serves, and returns its id.
func (w *watched) other(pid int) (next int) {
	w.t.Helper()
	until(w.t, "another process", func() error {
		st := w.Status()
		if next = st.Pid; st.State != "active" || next == pid {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	return next
}

// report waits for what a process has to say about topic.
func (w *watched) report(topic string, into any) {
	w.t.Helper()
	until(w.t, "report of "+topic, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.reports[topic] == nil {
			return errors.New("nothing was said")
		}
		return json.Unmarshal(w.reports[topic], into)
	})
}

func (w *watched) start(spec *Spec) {
	w.t.Helper()
	if err := w.Start(w.t.Context(), spec); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) stop(mode Mode) {
	w.t.Helper()
	if err := w.Stop(w.t.Context(), mode); err != nil {
		w.t.Fatal(err)
	}
}

// until asks check until it returns nil.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// behaviour is what a child of ours is told to do: its configuration.
type behaviour struct {
	Listen []string `json:",omitempty"` // accepts there when activated, and answers with its pid
	Fails  string   `json:",omitempty"` // says so and exits with 1, before it is ready
	Exits  int      `json:",omitempty"` // exits with this code before it is ready
	Never  bool     `json:",omitempty"` // gets never ready
	Defies bool     `json:",omitempty"` // ends by SIGKILL alone
	Drains bool     `json:",omitempty"` // never ends draining
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
		Restart: Restart{Delay: 10 * time.Millisecond, MaxDelay: 10 * time.Millisecond}, ReadyTimeout: patience, DrainTimeout: patience,
	}
	for _, f := range adjust {
		f(spec)
	}
	return spec
}

// childMain is a child that speaks our protocol.
func childMain() int {
	link, hello, err := Connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 9
	}
	var b behaviour
	if err := json.Unmarshal(hello.Config, &b); err != nil {
		link.Failed(err)
		return 9
	}
	c := &child{b: b, link: link, activated: make(chan struct{}), packets: make(chan struct{}), end: make(chan int, 10)}
	go link.Serve(c.orders())
	if err := c.load(); err != nil {
		link.Failed(err)
		return 1
	}
	if !b.Never {
		_ = link.Ready()
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
	link        *Link
	activated   chan struct{}
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
	for _, address := range c.b.Listen {
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

func (c *child) orders() Orders {
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
	return Orders{
		Activate: func() { close(c.activated) },
		Packets:  func() { close(c.packets) },
		Drain: func(time.Duration) {
			leave()
			if !c.b.Drains {
				end(0)
			}
		},
		Stop: func(mode Mode) {
			leave()
			if mode == Force {
				end(2)
			}
			end(0)
		},
		Orphaned: func() { end(0) },
		Tell:     c.told,
	}
}

// told does what a test says.
func (c *child) told(topic string, data json.RawMessage) {
	switch topic {
	case "panic":
		panic("somebody said so")
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

// alive tells whether a process runs, and is not only waited for.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// ended waits until a process does not run any more.
func ended(t *testing.T, pid int) {
	t.Helper()
	until(t, "end of a process", func() error {
		if alive(pid) {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
}

// freePort is a port on 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
