// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// watched finds a hung child as early as can be configured.
const watched = `{
	admin {$ADMIN}
	broker {
		watchdog 3s
		restart_delay 100ms
		max_restart_delay 100ms
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
`

const watchdog = 3 * time.Second

// A child that is stopped where it is, as one that hangs, is replaced, and says in
// the end what it was doing. Nobody is refused meanwhile.
func TestHungChildIsReplaced(t *testing.T) {
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	b := startBroker(t, watched, append(env, "PORT="+port)...)
	pid := awaitActive(t, b, 0)
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 40, Name: "h",
		Requests: []harness.Request{{Method: "GET"}, {Method: "POST", Body: []byte("order")}},
	}
	run := load.Start(t.Context())
	sent(t, run, 20)

	var hang strikes
	begun := time.Now()
	hang.strike(t, func() error {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		return awaitEnd(t, pid)
	})
	awaitActive(t, b, pid)
	get(t, "127.0.0.1:"+port)
	served := time.Since(begun)
	sent(t, run, 20)
	results := run.Stop()

	child, err := b.Child(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	exit := child.LastExit
	if exit == nil {
		t.Fatalf("the child is %+v", child)
	}
	t.Logf("served again after %s, %s of it the start of the child; %d bytes of dump; %s",
		served, child.StartTime(), len(exit.Stderr), results)
	// What the child needs to load its configuration is this machine's affair.
	if allowed := watchdog + 3*time.Second + child.StartTime(); served > allowed {
		t.Errorf("served again after %s, want %s at most", served, allowed)
	}
	if exit.Reason != "hang" || child.Restarts != 1 {
		t.Errorf("the child ended with reason %q and was restarted %d times, want one hang", exit.Reason, child.Restarts)
	}
	if !strings.Contains(exit.Stderr, "SIGABRT") || !strings.Contains(exit.Stderr, "\ngoroutine ") {
		t.Errorf("its goroutines are not kept:\n%s", exit.Stderr)
	}
	// Only what the hung child had accepted may be lost.
	for _, r := range results.Failed() {
		if r.Fate == harness.Refused || !hang.hit(r) {
			t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
}
