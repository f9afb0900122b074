// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// tracked sends everything to the first backend that works, and again where that
// is proved to be safe.
const tracked = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {$B4} {
		lb_policy failover {
			randomize false
			track_messages
			nested {
				max_inactivity_duration 1s
			}
		}
	}
}
`

// kind is a kind of request, by what may be repeated.
type kind struct {
	name string
	harness.Request
	safe   bool // repeated whatever happens
	replay bool // repeated after the death of a backend
}

// kinds are one of each. The backends know no Idempotency-Key, so what is sent
// again shows.
func kinds() []kind {
	key := http.Header{"Idempotency-Key": {"k"}}
	return []kind{
		{"get", harness.Request{Method: "GET"}, true, true},
		{"put", harness.Request{Method: "PUT", Body: []byte("order")}, false, true},
		{"post", harness.Request{Method: "POST", Body: []byte("order")}, false, false},
		{"key", harness.Request{Method: "POST", Body: []byte("order"), Header: key}, false, true},
	}
}

// kindLoads are loads of every kind at the same time, fast and slow requests in
// turn. prefix begins the ids of all.
func kindLoads(t *testing.T, addr, prefix string) map[string]*harness.Run {
	t.Helper()
	runs := map[string]*harness.Run{}
	for _, k := range kinds() {
		slow := k.Request
		slow.Path = "/?delay=300ms"
		load := harness.Load{
			Client: &harness.Client{Addr: addr}, Rate: 30, Name: prefix + k.name,
			Requests: []harness.Request{k.Request, slow},
		}
		runs[k.name] = load.Start(t.Context())
	}
	return runs
}

// A killed backend costs only what may not be repeated and was in progress; one
// that is stopped may go on later, so that nothing unsafe is repeated.
func TestBackendsLostUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("SIGKILL", func(t *testing.T) {
		testLost(t, 502, func(k kind) bool { return k.replay },
			func(_ *harness.Broker, b *harness.Backend) error { return b.Kill() },
			func(b *harness.Backend) error { return b.Start(t.Context()) })
	})
	t.Run("SIGSTOP", func(t *testing.T) {
		testLost(t, 504, func(k kind) bool { return k.safe },
			func(broker *harness.Broker, b *harness.Backend) error {
				defer awaitState(t, broker, b, "down")
				return b.Pause()
			}, (*harness.Backend).Resume)
	})
}

// testLost strikes the backend that serves, three times under load, and lets each
// return. Requests that repeats does not hold for may end in doubt, with that
// status.
func testLost(t *testing.T, status int, repeats func(kind) bool,
	strike func(*harness.Broker, *harness.Backend) error, restore func(*harness.Backend) error,
) {
	backends, env := newBackends(t, "four")
	start(t, backends...)
	port := freePort(t)
	broker := startBroker(t, tracked, append(env, "PORT="+port)...)
	addr := "127.0.0.1:" + port
	runs := kindLoads(t, addr, "")
	var hits strikes
	for range 3 {
		sent(t, runs["post"], 40)
		name := get(t, addr).Header.Get(harness.BackendName)
		b := backends[slices.IndexFunc(backends, func(b *harness.Backend) bool { return b.Name == name })]
		hits.strike(t, func() error { return strike(broker, b) })
		sent(t, runs["post"], 40)
		if err := restore(b); err != nil {
			t.Fatal(err)
		}
		// What a stopped backend had taken it executes now, before this.
		get(t, b.Addr)
		awaitState(t, broker, b, "trial", "up")
	}
	sent(t, runs["post"], 40)

	results := map[string]harness.Results{}
	for _, k := range kinds() {
		results[k.name] = runs[k.name].Stop()
		t.Logf("%s: %s", k.name, results[k.name])
	}
	counts := executions(t, backends)
	var doubts harness.Results
	for _, k := range kinds() {
		most, repeated := 1, 0
		if repeats(k) {
			most = 3
		}
		lost := results[k.name].Failed()
		for _, r := range results[k.name] {
			n := counts[r.ID]
			if n > 1 {
				repeated++
			}
			if n > most || r.Fate == harness.OK && n == 0 {
				t.Errorf("%s: %s %d, executed %d times", r.ID, r.Fate, r.Status, n)
			}
		}
		t.Logf("%s: %d in doubt, %d executed again", k.name, len(lost), repeated)
		for _, r := range lost {
			switch {
			case repeats(k) || r.Status != status || !inDoubt(r):
				t.Errorf("%s: %s %d %s (%v)", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
			case r.Header.Get("Retry-After") != "":
				t.Errorf("%s is in doubt and invites to retry", r.ID)
			case !hits.hit(r):
				t.Errorf("%s failed and was not in progress when a backend was lost", r.ID)
			}
		}
		if repeats(k) == (len(lost) > 0) {
			t.Errorf("%d requests of kind %s are in doubt, which shows nothing", len(lost), k.name)
		}
		doubts = append(doubts, lost...)
	}
	awaitDoubts(t, broker, doubts)
}

// A request that kills every backend which it touches stops after the third,
// whatever may be repeated.
func TestRequestThatKillsItsBackends(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t, "four")
	start(t, backends...)
	port := freePort(t)
	broker := startBroker(t, tracked, append(env, "PORT="+port)...)
	var deadly []harness.Request
	for _, k := range kinds() {
		if k.replay {
			k.Path = "/?delay=1m"
			deadly = append(deadly, k.Request)
		}
	}
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 100, Count: len(deadly), Name: "deadly", Requests: deadly,
	}
	run := load.Start(t.Context())
	for i := range 3 {
		if err := harness.Until(t.Context(), soon, func() error {
			if n := len(executions(t, backends[i:i+1])); n != len(deadly) {
				return fmt.Errorf("%d requests reached backend %s", n, backends[i].Name)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := backends[i].Kill(); err != nil {
			t.Fatal(err)
		}
	}
	results := run.Wait()
	for _, r := range results {
		if r.Status != 502 || inDoubt(r) == (r.Method == "GET") {
			t.Errorf("%s: %s %d %s (%v)", r.Method, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
		}
		if n := executions(t, backends)[r.ID]; n != 3 {
			t.Errorf("%s was executed %d times, want 3", r.Method, n)
		}
	}
	awaitDoubts(t, broker, results.Where(inDoubt))
	get(t, "127.0.0.1:"+port) // the fourth lives
}
