// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// maxProcesses is how many processes of a child may be there under a storm of
// replacements: one that serves, two that finish requests, and one that starts.
const maxProcesses = 4

// crowd follows how many processes of the child there are, until ctx ends, and whether
// the status said that changes wait for some of them.
type crowd struct {
	most  int
	waits string
}

func (c *crowd) watch(ctx context.Context, b *harness.Broker) {
	for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		if child, err := b.Child(ctx, "default"); err == nil {
			c.most = max(c.most, len(child.Processes))
		}
		if c.waits != "" {
			continue
		}
		if out, err := b.Run(ctx, "broker", "status", "--address", b.AdminAddr()); err == nil && strings.Contains(strings.Join(strings.Fields(out), " "), "that finish") {
			c.waits = out
		}
	}
}

// TestRestartsCutNothing: restarts ten times a second, while requests take three
// seconds each, wait for those and are made together.
func TestRestartsCutNothing(t *testing.T) {
	const restarts, each = 40, 100 * time.Millisecond
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
}
:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
`, append(env, "PORT="+port)...)
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 20, Count: 160, Name: "long",
		Requests: []harness.Request{{Method: "POST", Path: "/?delay=3s"}},
	}
	run := load.Start(t.Context())
	ctx, end := context.WithCancel(t.Context())
	seen, over := new(crowd), make(chan struct{})
	go func() {
		defer close(over)
		seen.watch(ctx, b)
	}()
	begun := time.Now()
	failed := make([]error, restarts)
	var wg sync.WaitGroup
	tick := time.NewTicker(each)
	defer tick.Stop()
	for i := range failed {
		wg.Go(func() { failed[i] = b.Admin(t.Context(), http.MethodPost, "/broker/children/default/restart", nil) })
		<-tick.C
	}
	wg.Wait()
	took := time.Since(begun)
	served(t, run.Wait())
	end()
	<-over
	if err := errors.Join(failed...); err != nil {
		t.Errorf("restarts failed: %v", err)
	}
	if seen.most > maxProcesses {
		t.Errorf("the child had %d processes, want at most %d", seen.most, maxProcesses)
	}
	if !strings.Contains(seen.waits, "wait") {
		t.Error("the status never said that restarts wait")
	}
	lines, err := b.HALog()
	if err != nil {
		t.Fatal(err)
	}
	starts := 0
	for _, line := range lines {
		if strings.Contains(line, "SHA0173") {
			starts++
		}
	}
	if starts < 3 || starts > restarts/2 {
		t.Errorf("%d processes were started for %d restarts: they do not gather", starts, restarts)
	}
	t.Logf("%d restarts in %s, answered after %s; %d processes started, %d at a time at most; %s", restarts, restarts*each, took, starts, seen.most, seen.waits)
}
