// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// flapping has two sites, each with a primary of its own and a common backup.
// Clients move back sooner than is wise, so that they meet many a death.
const flapping = `{
	admin {$ADMIN}
}
(pool) {
	reverse_proxy {args[0]} {$B3} {
		lb_policy failover {
			randomize false
			priority_backup
			failback_delay 20ms
			max_reconnect_delay 40ms
		}
	}
}
http://:{$PORT1} {
	import pool {$B1}
}
http://:{$PORT2} {
	import pool {$B2}
}
`

// flapsFor is how long the primaries flap.
const flapsFor = 30 * time.Second

// flap kills a backend and starts it again, and lets it live, and be dead, for
// half a period each time.
func flap(ctx context.Context, b *harness.Backend, period time.Duration) error {
	for end := time.Now().Add(flapsFor); time.Now().Before(end); {
		<-time.After(period / 2)
		if err := b.Kill(); err != nil {
			return err
		}
		<-time.After(period / 2)
		if err := b.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A primary that dies and returns again and again costs no safe request.
func TestPrimaryFlaps(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	ports := []string{freePort(t), freePort(t)}
	startBroker(t, flapping, append(env, "PORT1="+ports[0], "PORT2="+ports[1])...)

	sites := []struct {
		period time.Duration
		run    *harness.Run
	}{{period: 250 * time.Millisecond}, {period: 3 * time.Second}}
	var flaps sync.WaitGroup
	for i := range sites {
		s := &sites[i]
		load := harness.Load{
			Client: &harness.Client{Addr: "127.0.0.1:" + ports[i]}, Rate: 100, Name: s.period.String(),
			Requests: []harness.Request{{Method: "GET"}, {Method: "GET", Path: "/?delay=20ms"}},
		}
		s.run = load.Start(t.Context())
		flaps.Go(func() {
			if err := flap(t.Context(), backends[i], s.period); err != nil {
				t.Error(err)
			}
		})
	}
	flaps.Wait()
	for i, s := range sites {
		results := s.run.Stop()
		t.Logf("period %s: %s", s.period, results)
		served := map[string]int{}
		moves, last := 0, ""
		for _, r := range results {
			if r.Fate != harness.OK {
				t.Errorf("period %s: %s: %s %d %s (%v)", s.period, r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
			}
			name := r.Header.Get(harness.BackendName)
			if name == backends[i].Name && last == "three" {
				moves++
			}
			last = name
			served[name]++
		}
		t.Logf("period %s: served by %v, moved back %d times", s.period, served, moves)
		if moves == 0 {
			t.Errorf("period %s: clients never moved back, which shows nothing", s.period)
		}
	}
}
