// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// ordered sends everything to the first backend that works.
const ordered = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover {
			randomize false
		}
	}
}
`

func TestAllBackendsDownThenOneReturns(t *testing.T) {
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	startBroker(t, ordered, append(env, "PORT="+port)...)
	addr := "127.0.0.1:" + port
	get(t, addr)
	for _, b := range backends {
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
	}

	load := harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 50, Name: "w",
		Requests: []harness.Request{{Method: "GET"}, {Method: "POST", Body: []byte("order")}},
	}
	run := load.Start(t.Context())
	sent(t, run, 100) // two seconds
	if n := run.InFlight(); n < 90 {
		t.Errorf("%d of 100 requests wait", n)
	}
	start(t, backends[1])
	returned := time.Now()
	sent(t, run, 50)
	results := run.Stop()
	t.Log(results)

	first := time.Time{}
	counts := executions(t, backends)
	for _, r := range results {
		if r.Fate != harness.OK {
			t.Errorf("%s %s: %s %d %s (%v)", r.Method, r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
			continue
		}
		if first.IsZero() || r.End.Before(first) {
			first = r.End
		}
		if got := r.Header.Get(harness.BackendName); got != "two" {
			t.Errorf("%s was answered by %q", r.ID, got)
		}
		if n := counts[r.ID]; n != 1 {
			t.Errorf("%s was executed %d times", r.ID, n)
		}
	}
	// While somebody waits no delay of the back-off exceeds a second, with jitter.
	t.Logf("first success %s after the return", first.Sub(returned))
	if first.Sub(returned) > 3*time.Second {
		t.Errorf("the first success came %s after the backend's return", first.Sub(returned))
	}
}

// Clients that leave while they wait are gone from the queue, and what they
// wanted is never written.
func TestClientsLeaveWhileTheyWait(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	broker := startBroker(t, ordered, append(env, "PORT="+port)...)
	addr := "127.0.0.1:" + port
	get(t, addr)
	if err := backends[0].Kill(); err != nil {
		t.Fatal(err)
	}

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	load := harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 400, Count: 400, Name: "w",
		Requests: []harness.Request{
			{Method: "GET"},
			{Method: "POST", Body: []byte("order")},
			{Method: "GET"},
			{Method: "POST", Body: make([]byte, 16<<10)},
		},
	}
	run := load.Start(ctx)
	awaitWaiting(t, broker, 400)
	leave()
	for _, r := range run.Wait() {
		if r.Status != 0 {
			t.Errorf("%s %s was answered: %d", r.Method, r.ID, r.Status)
		}
	}
	awaitWaiting(t, broker, 0)
	start(t, backends[0])
	get(t, addr)
	if counts := executions(t, backends); len(counts) != 1 || counts[t.Name()] != 2 {
		t.Errorf("executed were %v, want only the two of this test", counts)
	}
	awaitDoubts(t, broker, nil)
}

// Many that waited reach the backend that returns a few at a time, and more only
// as it answers.
func TestReturningBackendIsNotRunOver(t *testing.T) {
	const waiting = 5000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	// This process and the broker's raise their soft limits by themselves.
	if files.Max < 3*waiting {
		t.Skipf("%d descriptors are allowed, which is too few", files.Max)
	}
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	broker := startBroker(t, strings.Replace(ordered, "randomize false", "randomize false\n\t\t\tmax_waiting 6000", 1),
		append(env, "PORT="+port)...)
	addr := "127.0.0.1:" + port
	get(t, addr)
	if err := backends[0].Kill(); err != nil {
		t.Fatal(err)
	}

	load := harness.Load{
		Client: &harness.Client{Addr: addr, Timeout: 5 * time.Minute}, Rate: 1000, Count: waiting, Name: "w",
		Requests: []harness.Request{{Method: "GET", Path: "/?delay=20ms"}},
	}
	run := load.Start(t.Context())
	awaitWaiting(t, broker, waiting)
	start(t, backends[0])
	results := run.Wait()
	t.Log(results)

	counts := executions(t, backends)
	var peak int64
	for _, r := range results {
		if r.Fate != harness.OK || counts[r.ID] != 1 {
			t.Errorf("%s: %s %d %s (%v), executed %d times", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err, counts[r.ID])
			continue
		}
		begun, answered := number(t, r, harness.Begun), number(t, r, harness.Answered)
		peak = max(peak, begun-answered)
		// The gate is 16 wide and doubles each time that many were answered.
		if begun-answered > 16+answered {
			t.Errorf("%d were in progress when %d had been answered", begun-answered, answered)
		}
	}
	t.Logf("at most %d were in progress", peak)
	if peak > waiting/2 {
		t.Errorf("%d of %d were in progress at the same time", peak, waiting)
	}
}

func number(t *testing.T, r *harness.Result, header string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(r.Header.Get(header), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
