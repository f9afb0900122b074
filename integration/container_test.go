// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// containerUser is the user that the Dockerfile names.
const containerUser = 65532

// container is a container whose process 1 is the broker. TestImage lets Podman make it,
// TestContainer makes it by hand.
type container struct {
	first   int                                                           // process 1, as this machine counts
	find    func() (first int, err error)                                 // finds it
	caddy   func(stdin io.Reader, args ...string) (out []byte, err error) // runs another caddy command inside
	healthy func() error                                                  // what the health check says
	output  func() string                                                 // of process 1
	code    func() string                                                 // its exit code, for which it waits
}

// lives checks that the broker serves at addr, as process 1, without root, and whatever
// ends beside it.
func (c *container) lives(t *testing.T, addr string) {
	t.Helper()
	child := c.serving(t, 0)
	if uid := owner(t, c.first); uid != strconv.Itoa(containerUser) {
		t.Errorf("process 1 runs as user %s", uid)
	}
	get(t, addr)
	// On a busy machine one may take too long, which is why it takes three to be unhealthy.
	if err := harness.Until(t.Context(), soon, c.healthy); err != nil {
		t.Errorf("the health check: %v", err)
	}

	c.inside(t, "kill -9 "+strconv.Itoa(child))
	c.serving(t, child)
	get(t, addr)

	// Process 1 is the parent of what is left by others.
	c.inside(t, "sleep 0.1 & exit 0")
	await := func(what string, want bool) {
		if err := harness.Until(t.Context(), soon, func() error {
			if dead := c.dead(t); (dead > 0) != want {
				return fmt.Errorf("%d are dead", dead)
			}
			return nil
		}); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, c.output())
		}
	}
	await("waiting until the orphan is dead", true)
	await("waiting until it is reaped", false)
}

// drains checks that the broker takes another configuration, and that it ends at SIGTERM
// when the request in progress has its answer.
func (c *container) drains(t *testing.T, addr string) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", hubIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := &http.Server{ReadHeaderTimeout: soon, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get(harness.RequestID) != t.Name() {
			t.Logf("the backend is asked by somebody else, too: %s %s from %s with %v", r.Method, r.RequestURI, r.RemoteAddr, r.Header)
			return
		}
		close(arrived)
		<-release
	})}
	go func() { _ = backend.Serve(listener) }()
	t.Cleanup(func() { _ = backend.Close() })
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	site := fmt.Sprintf("http://:%s {\n\treverse_proxy %s {\n\t\tlb_policy failover\n\t}\n}\n", port, listener.Addr())
	// On a busy machine a connection may take too long, and then this is refused.
	if err := harness.Until(t.Context(), soon, func() error {
		out, err := c.caddy(strings.NewReader(site), "reload", "--config", "-", "--adapter", "broker")
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	}); err != nil {
		t.Fatalf("reloading: %v\n%s", err, c.output())
	}

	says := func(text string, times int) {
		t.Helper()
		if err := harness.Until(t.Context(), soon, func() error {
			if n := strings.Count(c.output(), text); n < times {
				return fmt.Errorf("it says %s %d times, want %d", text, n, times)
			}
			return nil
		}); err != nil {
			t.Errorf("%v\n%s", err, c.output())
		}
	}
	const ends = `"signal":"SIGTERM"`
	says(`"reason":"replace"`, 1) // the process that was replaced says as well that it ends
	said := strings.Count(c.output(), ends)

	answer := make(chan *harness.Result, 1)
	go func() {
		client := &harness.Client{Addr: addr}
		answer <- client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: http.MethodGet})
	}()
	select {
	case <-arrived:
	case res := <-answer:
		t.Fatalf("the backend has not been asked: %s %d (%v)", res.Fate, res.Status, res.Err)
	}
	if err := syscall.Kill(c.first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	says(ends, said+1)
	close(release)
	if res := <-answer; res.Fate != harness.OK {
		t.Errorf("a request in progress at SIGTERM: %s %d (%v)", res.Fate, res.Status, res.Err)
	}
	if code := c.code(); code != "0" {
		t.Errorf("after SIGTERM the exit code is %s\n%s", code, c.output())
	}
	if err := c.healthy(); err == nil {
		t.Error("a container that has ended is healthy")
	}
}

// inside runs a command of this machine's shell among the container's processes.
func (c *container) inside(t *testing.T, command string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsenter", "--target="+strconv.Itoa(c.first), "--pid", "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// dead counts the children of process 1 that are dead and not reaped.
func (c *container) dead(t *testing.T) (n int) {
	t.Helper()
	for _, pid := range childrenOf(t, c.first) {
		if !harness.Alive(pid) {
			n++
		}
	}
	return n
}

// serving waits until the child serves in another process than notPid, which it returns;
// the ids are those of the container.
func (c *container) serving(t *testing.T, notPid int) (pid int) {
	t.Helper()
	err := harness.Until(t.Context(), soon, func() (err error) {
		if c.first, err = c.find(); err != nil {
			return err
		}
		out, err := c.caddy(nil, "broker", "status", "--json")
		pid, err = activeOf(string(out), err, notPid)
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, c.output())
	}
	return pid
}

// childrenOf are the processes that a process is the parent of, dead ones too.
func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	// Each thread has its own.
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // it is gone
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
