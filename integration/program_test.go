// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// programs has another program beside the sites.
const programs = `{
	admin {$ADMIN}
	broker {
		child other {
			command {$PROGRAM} first "second argument"
			env CADDY_BROKER_HARNESS_PROGRAM {$LIFELINE}
			listen tcp/127.0.0.1:{$OTHER}
			restart_delay 300ms
			max_restart_delay 300ms
		}
	}
}
http://:{$PORT} {
	respond site
}
`

// startPrograms is a broker with a program, which serves at addr.
func startPrograms(t *testing.T) (b *harness.Broker, port, other string) {
	t.Helper()
	program, err := harness.NewProgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	port, other = freePort(t), freePort(t)
	b = startBroker(t, programs, append(program.Env, "PORT="+port, "OTHER="+other)...)
	return b, port, other
}

// awaitProgram waits until the program serves in another process than notPid, and
// returns that and the worker's.
func awaitProgram(t *testing.T, b *harness.Broker, port string, notPid int) (pid, worker int) {
	t.Helper()
	child, err := b.AwaitChild(t.Context(), "other", func(c *harness.Child) bool {
		return c.State == "active" && c.Pid != notPid
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.Process().Output())
	}
	answer := get(t, "127.0.0.1:"+port).Body
	if _, err := fmt.Sscan(answer, &pid, &worker); err != nil || pid != child.Pid {
		t.Fatalf("process %d is active, the answer is %q (%v)", child.Pid, answer, err)
	}
	return pid, worker
}

// A program is given its socket and says when it is ready. When it is killed
// nobody is refused, and its worker ends with it; another takes its place.
func TestProgramKilledUnderLoad(t *testing.T) {
	t.Parallel()
	b, port, other := startPrograms(t)
	site := awaitActive(t, b, 0)
	pid, worker := awaitProgram(t, b, other, 0)
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + other}, Rate: 100, Name: "k"}
	run := load.Start(t.Context())
	var kills strikes
	for range 3 {
		sent(t, run, 20)
		kills.strike(t, func() error { return killProcess(t, pid) })
		if err := awaitEnd(t, worker); err != nil {
			t.Errorf("the worker: %v", err)
		}
		pid, worker = awaitProgram(t, b, other, pid)
	}
	sent(t, run, 20)
	results := run.Stop()
	t.Log(results)
	for _, r := range results.Failed() {
		if r.Fate == harness.Refused || !kills.hit(r) {
			t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	if now := awaitActive(t, b, 0); now != site {
		t.Errorf("the child of the sites was %d and is %d", site, now)
	}
	get(t, "127.0.0.1:"+port)
}

// A program is stopped, with all that it started, and nothing else is.
func TestProgramStopped(t *testing.T) {
	t.Parallel()
	b, port, other := startPrograms(t)
	site := awaitActive(t, b, 0)
	for _, mode := range []string{"immediate", "force"} {
		pid, worker := awaitProgram(t, b, other, 0)
		operateOn(t, b, "other", "stop?mode="+mode)
		if harness.Alive(pid) || harness.Alive(worker) {
			t.Errorf("%s: program %d lives: %t, its worker %d: %t", mode, pid, harness.Alive(pid), worker, harness.Alive(worker))
		}
		if err := harness.PortFree(other); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		operateOn(t, b, "other", "start")
	}
	pid, worker := awaitProgram(t, b, other, 0)
	if now := awaitActive(t, b, 0); now != site {
		t.Errorf("the child of the sites was %d and is %d", site, now)
	}
	get(t, "127.0.0.1:"+port)

	// The whole broker.
	if err := b.Process().Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := b.Process().ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if harness.Alive(pid) || harness.Alive(worker) {
		t.Errorf("after the broker's end, program %d lives: %t, its worker %d: %t", pid, harness.Alive(pid), worker, harness.Alive(worker))
	}
}

// A program does not outlive a broker that is killed: its port is free for the
// next one.
func TestProgramEndsWithItsBroker(t *testing.T) {
	t.Parallel()
	b, _, other := startPrograms(t)
	pid, _ := awaitProgram(t, b, other, 0)
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := awaitEnd(t, pid); err != nil {
		t.Error(err)
	}
	if err := harness.Until(t.Context(), soon, func() error { return harness.PortFree(other) }); err != nil {
		t.Error(err)
	}
}
