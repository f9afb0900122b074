// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// patience has somebody else's server before a backend of ours, and little
// patience with silence.
const patience = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$SERVER} {$B2} {
		lb_policy failover {
			randomize false
			nested {
				max_inactivity_duration 2s
			}
		}
	}
}
`

func TestBackendIsNginx(t *testing.T) {
	t.Parallel()
	testFrontServer(t, syscall.SIGHUP, syscall.SIGQUIT, "nginx.conf", "nginx", "-c", "{config}")
}

func TestBackendIsApache(t *testing.T) {
	t.Parallel()
	testFrontServer(t, syscall.SIGUSR1, syscall.SIGWINCH, "apache.conf", "apache2", "-f", "{config}", "-DFOREGROUND")
}

// testFrontServer sends requests to an application behind a server, which ends
// keep-alive early, gets no answer for long, reloads its configuration and is
// started again.
func testFrontServer(t *testing.T, reload, quit syscall.Signal, config string, command ...string) {
	backends, env := newBackends(t)
	s := newServer(t, backends[0], config, command...)
	start(t, backends[:2]...)
	s.start(t)
	port := freePort(t)
	broker := startBroker(t, patience, append(env, "PORT="+port, "SERVER="+s.addr)...)
	addr := "127.0.0.1:" + port

	// The idle ones come back just when the server closes their connections.
	runs := []*harness.Run{}
	for _, load := range []harness.Load{
		{Name: "slow", Rate: 10, Count: 12, Requests: []harness.Request{
			{Method: "GET", Path: "/?delay=4500ms"},
			{Method: "POST", Path: "/?delay=4500ms", Body: []byte("order")},
		}},
		{Name: "idle", Rate: 1.01, Count: 5},
		{Name: "idle-post", Rate: 1.01, Count: 5, Requests: []harness.Request{{Method: "POST", Body: []byte("order")}}},
	} {
		load.Client = &harness.Client{Addr: addr}
		runs = append(runs, load.Start(t.Context()))
	}
	var results harness.Results
	for _, run := range runs {
		results = append(results, run.Wait()...)
	}
	t.Logf("idle and slow: %s", results)
	checkServed(t, broker, results, executions(t, backends[:1]))
	checkKept(t, broker)

	// A server that reloads may close a connection just as a request comes. That
	// request may go on to the other backend; this one is not lost.
	busy := kindLoads(t, addr, "")
	for range 3 {
		sent(t, busy["get"], 15)
		if err := s.proc.Signal(reload); err != nil {
			t.Fatal(err)
		}
	}
	sent(t, busy["get"], 15)
	for _, run := range busy {
		results = append(results, run.Stop()...)
	}
	t.Logf("and with reloads: %s; %d executed by the other backend", results, len(executions(t, backends[1:2])))
	checkServed(t, broker, results, executions(t, backends))
	checkKept(t, broker)

	// While it is started again the other one serves.
	busy = kindLoads(t, addr, "again-")
	sent(t, busy["get"], 15)
	if err := s.stop(quit); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	sent(t, busy["get"], 15)
	for _, run := range busy {
		results = append(results, run.Stop()...)
	}
	t.Logf("and started again: %s", results)
	checkServed(t, broker, results, executions(t, backends))
}

// checkServed checks that every request was executed once; only one that may not
// be sent again may be in doubt instead, and must be listed then.
func checkServed(t *testing.T, broker *harness.Broker, results harness.Results, counts map[string]int) {
	t.Helper()
	for _, r := range results {
		n := counts[r.ID]
		switch {
		case r.Fate == harness.OK && n == 1:
		case r.Method == http.MethodPost && r.Status == 502 && inDoubt(r) && n <= 1:
		default:
			t.Errorf("%s %s: %s %d %s (%v), executed %d times", r.Method, r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err, n)
		}
	}
	awaitDoubts(t, broker, results.Where(inDoubt))
}

// checkKept checks that the broker has not lost any backend.
func checkKept(t *testing.T, broker *harness.Broker) {
	t.Helper()
	if strings.Contains(broker.Process().Output(), "failover_interrupted") {
		t.Error("a backend was taken for lost")
	}
}

// A single thread answers neither requests nor pings while it works. It is slow,
// not hung, as long as it answers one after the other, or nobody else is there.
func TestBackendHasASingleThread(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[1])
	tests := []struct {
		name, caddyfile, path string
		count                 int
	}{
		{"many in its queue", patience, "/?delay=0.3", 12},
		{"alone and slow", strings.Replace(patience, " {$B2}", "", 1), "/?delay=2.5", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, backends[0], "single.py", "python3", "{config}", "{addr}", "{record}")
			s.start(t)
			port := freePort(t)
			broker := startBroker(t, tt.caddyfile, append(env, "PORT="+port, "SERVER="+s.addr)...)
			load := harness.Load{
				Client: &harness.Client{Addr: "127.0.0.1:" + port, Timeout: 2 * time.Minute}, Rate: 100, Count: tt.count, Name: "q",
				Requests: []harness.Request{{Method: "GET", Path: tt.path}, {Method: "POST", Path: tt.path, Body: []byte("order")}},
			}
			results := load.Start(t.Context()).Wait()
			t.Log(results)
			counts, err := harness.ReadRecord(s.record)
			if err != nil {
				t.Fatal(err)
			}
			checkServed(t, broker, results, counts)
			checkKept(t, broker)
			if len(results.Failed()) > 0 {
				t.Error("nobody closed a connection, and requests failed")
			}
		})
	}
}
