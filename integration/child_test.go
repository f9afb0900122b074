// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const restartDelay = 700 * time.Millisecond

// killable has a constant restart delay and no standby: what is measured is the
// plain restart.
const killable = `{
	admin {$ADMIN}
	broker {
		restart_delay 700ms
		max_restart_delay 700ms
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
`

func TestChildKilledUnderLoad(t *testing.T) {
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, killable, append(env, "PORT="+port)...)
	pid := awaitActive(t, b, 0)

	// The slow ones make sure that something is in progress at each kill.
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 100, Name: "k",
		Requests: []harness.Request{
			{Method: "GET"},
			{Method: "POST", Body: []byte("order")},
			{Method: "GET", Path: "/?delay=100ms"},
			{Method: "POST", Path: "/?delay=100ms", Body: []byte("order")},
		},
	}
	run := load.Start(t.Context())
	var kills strikes
	var inFlight int
	var starting time.Duration // of the slowest child
	for range 5 {
		sent(t, run, 40)
		inFlight += run.InFlight()
		kills.strike(t, func() error { return killProcess(t, pid) })
		pid = awaitActive(t, b, pid)
		child, err := b.Child(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		starting = max(starting, child.StartTime())
	}
	sent(t, run, 40)
	results := run.Stop()
	t.Logf("%s; at most %d in progress at the kills; children started within %s", results, inFlight, starting)

	failed := results.Failed()
	if len(failed) == 0 {
		t.Error("no request failed: nothing was in progress at the kills, which shows nothing")
	}
	for _, r := range failed {
		switch {
		case r.Fate == harness.Refused:
			t.Errorf("%s was refused", r.ID)
		case !kills.hit(r):
			t.Errorf("%s was not in progress at a kill, but: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	// What a child needs to load its configuration is this machine's affair, and
	// so is what a client needs for a connection that the kernel alone answers.
	// Both were measured.
	var lag time.Duration
	for _, r := range results {
		lag = max(lag, r.Dialed.Sub(r.Due))
	}
	allowed := restartDelay + starting + lag + 500*time.Millisecond
	if gap := results.Gap(); gap > allowed {
		t.Errorf("nobody was served for %s; a restart delay of %s, starts within %s and a lag of %s allow %s",
			gap, restartDelay, starting, lag, allowed)
	}
	// Those who queued are served one after the other, as fast as the machine can.
	if slowest := results.Slowest(); slowest > 2*allowed {
		t.Errorf("the longest wait was %s, more than twice %s", slowest, allowed)
	}
	child, err := b.Child(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	if child.Restarts != 5 || child.LastExit == nil || child.LastExit.Signal == "" {
		t.Errorf("the child is %+v, last exit %+v; want 5 restarts and a signal", child, child.LastExit)
	}
}

// A parent that is killed takes its child with it, and leaves room for the next one.
func TestParentKilledLeavesNothing(t *testing.T) {
	t.Parallel()
	port, socket := freePort(t), filepath.Join(t.TempDir(), "site")
	b := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond ok
}
http://socket.localhost {
	bind unix/{$SOCKET}
	respond socket
}
`, "PORT="+port, "SOCKET="+socket)
	get(t, "127.0.0.1:"+port)
	pid := awaitActive(t, b, 0)
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if err := harness.Until(t.Context(), 2*time.Second, func() error { return harness.PortFree(port) }); err != nil {
		t.Errorf("the port after the parent's death: %v", err)
	}
	freed := time.Since(at)
	if err := b.AwaitGone(t.Context(), 2*time.Second); err != nil {
		t.Errorf("after the parent's death: %v; the child was %d", err, pid)
	}
	t.Logf("port free after %s, no process left after %s", freed, time.Since(at))
	// The next one serves where the first did; the socket's file has stayed behind.
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	get(t, "127.0.0.1:"+port)
	client := &harness.Client{Network: "unix", Addr: socket, Host: "socket.localhost"}
	if res := client.Do(t.Context(), "s", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK || res.Body != "socket" {
		t.Errorf("on the unix socket: %s %q (%v)", res.Fate, res.Body, res.Err)
	}
}

// Nobody may notice that another broker runs, or died, beside theirs.
func TestTwoBrokersOnOneMachine(t *testing.T) {
	t.Parallel()
	const site = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond {$NAME}
}
`
	ports := []string{freePort(t), freePort(t)}
	first := startBroker(t, site, "PORT="+ports[0], "NAME=first")
	startBroker(t, site, "PORT="+ports[1], "NAME=second")
	for i, want := range []string{"first", "second"} {
		if got := get(t, "127.0.0.1:"+ports[i]).Body; got != want {
			t.Errorf("port %d answered %q, want %q", i, got, want)
		}
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Errorf("stopping the first: %v", err)
	}
	if got := get(t, "127.0.0.1:"+ports[1]).Body; got != "second" {
		t.Errorf("answered %q after the other was stopped", got)
	}
}

// A stop takes everything with it, and a second start finds the port free.
func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	const site = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond ok
}
`
	for _, stop := range []string{"SIGTERM", "caddy stop"} {
		b := startBroker(t, site, "PORT="+port)
		get(t, "127.0.0.1:"+port)
		if stop == "caddy stop" {
			if out, err := b.Run(t.Context(), "stop", "--config", "{}", "--adapter", "broker"); err != nil {
				t.Errorf("caddy stop: %v\n%s", err, out)
			}
		} else if err := b.Process().Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := b.Process().ExitCode(); code != 0 {
			t.Errorf("%s: exit code %d", stop, code)
		}
		if err := b.AwaitGone(t.Context(), soon); err != nil {
			t.Errorf("%s: %v", stop, err)
		}
		if err := harness.PortFree(port); err != nil {
			t.Errorf("%s: %v", stop, err)
		}
		if out := b.Process().Output(); strings.Contains(out, "panic:") {
			t.Errorf("%s: %s", stop, out)
		}
	}
}
