// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// With a standby, a killed child costs the requests that were in progress in it,
// and nobody else anything.
func TestStandbyTakesOverUnderLoad(t *testing.T) {
	t.Parallel()
	const kills = 10
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
	broker {
		standby 1
		restart_delay 100ms
		max_restart_delay 100ms
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
`, append(env, "PORT="+port)...)

	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 200, Name: "s",
		Requests: []harness.Request{{Method: "GET"}, {Method: "POST", Body: []byte("order")}, {Method: "GET", Path: "/?delay=50ms"}, {Method: "GET"}},
	}
	run := load.Start(t.Context())
	var struck strikes
	inFlight := 0
	for range kills {
		active, standby := awaitStandby(t, b)
		sent(t, run, 40)
		inFlight += run.InFlight()
		struck.strike(t, func() error { return killProcess(t, active) })
		if now := awaitActive(t, b, active); now != standby {
			t.Errorf("process %d serves, the standby was %d", now, standby)
		}
	}
	sent(t, run, 40)
	results := run.Stop()
	t.Logf("%s; %d in progress at the kills", results, inFlight)

	failed := results.Failed()
	for _, r := range failed {
		switch {
		case r.Fate == harness.Refused:
			t.Errorf("%s was refused", r.ID)
		case !struck.hit(r):
			t.Errorf("%s was not in progress at a kill, but: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	child, err := b.Child(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	if child.Restarts != kills {
		t.Errorf("%d restarts, want %d", child.Restarts, kills)
	}

	// The log: terminated, code, restarting, and straight on to watching.
	lines, err := b.HALog()
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]string, len(lines))
	for i, line := range lines {
		if parts := haLine.FindStringSubmatch(line); parts != nil {
			codes[i] = parts[2]
		}
	}
	promotions := strings.Count(strings.Join(codes, " "), "SHA0579 SHA0584 SHA0558 SHA0817")
	if promotions != kills {
		t.Errorf("the log shows %d promotions, want %d:\n%s", promotions, kills, strings.Join(lines, "\n"))
	}
}

// promote swaps the two on purpose, and nobody notices.
func TestPromote(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
	broker {
		standby 1
		drain_timeout 2s
	}
}
http://:{$PORT} {
	respond ok
}
`, "PORT="+port)
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 200, Name: "p", Requests: []harness.Request{{Method: "POST", Body: []byte("x")}}}
	run := load.Start(t.Context())
	var served []int
	for range 5 {
		active, standby := awaitStandby(t, b)
		served = append(served, active)
		sent(t, run, 20)
		operate(t, b, "promote")
		if now := awaitActive(t, b, active); now != standby {
			t.Errorf("process %d serves, the standby was %d", now, standby)
		}
	}
	sent(t, run, 20)
	if results := run.Stop(); len(results.Failed()) > 0 {
		t.Errorf("promotions cost requests: %s", results)
	}
	slices.Sort(served)
	if n := len(slices.Compact(served)); n != 5 {
		t.Errorf("%d processes served in turn, want 5", n)
	}
	// Those that were swapped away end by themselves.
	for _, pid := range served {
		if err := awaitEnd(t, pid); err != nil {
			t.Error(err)
		}
	}
}
