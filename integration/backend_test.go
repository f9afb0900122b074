// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
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

func TestBackendKilledUnderLoad(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			backends, env := newBackends(t)
			start(t, backends...)
			port := freePort(t)
			startBroker(t, ordered, append(env, "PORT="+port)...)

			fast, slow := harness.Request{Method: method}, harness.Request{Method: method, Path: "/?delay=50ms"}
			if method == "POST" {
				fast.Body, slow.Body = []byte("order"), []byte("order")
			}
			load := harness.Load{
				Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 300, Name: method,
				Requests: []harness.Request{fast, slow},
			}
			run := load.Start(t.Context())
			var kills strikes
			// The primary twice, with a life in between, then the one that serves.
			for _, i := range []int{0, 1, 0} {
				sent(t, run, 150)
				kills.strike(t, backends[i].Kill)
				sent(t, run, 150)
				start(t, backends[i])
			}
			sent(t, run, 150)
			results := run.Stop()
			t.Log(results)

			counts := executions(t, backends)
			var written int
			for _, r := range results {
				n := counts[r.ID]
				switch {
				case r.Fate == harness.OK && method == "GET":
				case r.Fate == harness.OK && n == 1:
				case r.Fate == harness.OK:
					t.Errorf("%s was answered and executed %d times", r.ID, n)
				case method == "GET":
					t.Errorf("%s: %s %d %s (%v)", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
				case r.Status != 502 || !inDoubt(r):
					t.Errorf("%s: %s %d %s (%v), want 502 in doubt", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
				case n > 1:
					t.Errorf("%s was executed %d times", r.ID, n)
				case r.Header.Get("Retry-After") != "":
					t.Errorf("%s is in doubt and invites to retry", r.ID)
				default:
					written++
				}
			}
			for _, r := range results.Failed() {
				if !kills.hit(r) {
					t.Errorf("%s failed and was not in progress when a backend was killed", r.ID)
				}
			}
			if method == "POST" && written == 0 {
				t.Error("no POST was in progress at the kills, which shows nothing")
			}
		})
	}
}

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
