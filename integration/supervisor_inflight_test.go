// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var killRounds = flag.Int("kills", 3, "how often the child is killed with requests in flight")

// inFlightSites have a backend that serves and one that does not.
const inFlightSites = `{
	admin {$ADMIN}
	broker {
		restart_delay 10ms
		max_restart_delay 10ms
		{$MORE}
	}
}
http://:{$PORT} {
	handle /nobody/* {
		reverse_proxy {$B2} {
			lb_policy failover {
				pool nobody
			}
		}
	}
	handle {
		reverse_proxy {$B1} {
			lb_policy failover {
				pool shop
			}
		}
	}
}
`

// inFlight are the requests that are in progress at a kill: a POST that is written and
// one that waits for a backend, and a GET that is written.
type inFlight struct{ written, waiting, read int }

// send sends them, and returns when all are where they shall be.
func (f inFlight) send(t *testing.T, b *harness.Broker, backends []*harness.Backend, addr, name string) []*harness.Run {
	t.Helper()
	before := len(executions(t, backends))
	var runs []*harness.Run
	many := func(kind string, count int, req harness.Request) {
		load := harness.Load{
			Client: &harness.Client{Addr: addr, Timeout: 5 * time.Minute}, Rate: 2000, Count: count,
			Name: name + "-" + kind, Requests: []harness.Request{req},
		}
		runs = append(runs, load.Start(t.Context()))
	}
	many("written", f.written, harness.Request{Method: "POST", Path: "/order/" + name + "?delay=1h&secret", Body: []byte("order")})
	many("waiting", f.waiting, harness.Request{Method: "POST", Path: "/nobody/order", Body: []byte("order")})
	many("read", f.read, harness.Request{Method: "GET", Path: "/?delay=1h"})
	if err := harness.Until(t.Context(), soon, func() error {
		if n := len(executions(t, backends)) - before; n < f.written+f.read {
			return fmt.Errorf("%d requests have arrived", n)
		}
		var pool struct{ Waiting int }
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/pools/nobody", &pool); err != nil {
			return err
		}
		if pool.Waiting < f.waiting {
			return fmt.Errorf("%d requests wait", pool.Waiting)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return runs
}

// doubtful is an entry of the list in doubt.
type doubtful struct {
	Pool, Backend, Method, Host, Path, Reason string
	RequestID                                 string `json:"request_id"`
}

// exitReport is what is told of the last exit.
type exitReport struct {
	harness.Exit
	Role       string
	Generation int
	Uptime     float64 `json:"uptime_seconds"`
	Peak       int64   `json:"peak_memory_bytes"`
	Fault      string
	Goroutine  string
	InFlight   struct {
		Requests, Unsafe, Written int
		InDoubt                   int `json:"in_doubt"`
		Routes                    []struct {
			Method, Host, Path, Pool   string
			Requests, Written, InDoubt int
		}
	} `json:"in_flight"`
}

// lastExit waits for the last exit that has this reason.
func lastExit(t *testing.T, b *harness.Broker, reason string) (exit exitReport) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		err := b.Admin(t.Context(), http.MethodGet, "/broker/children/default/last-exit", &exit)
		if err == nil && exit.Reason != reason {
			err = fmt.Errorf("the last exit is %+v", exit)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return exit
}

// A child that is killed leaves exactly those requests in doubt that may have been
// executed, and says what else it had in progress.
func TestKilledChildLeavesItsRequestsInDoubt(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	b := startBroker(t, inFlightSites, append(env, "PORT="+port, "MORE=")...)
	addr := "127.0.0.1:" + port
	f := inFlight{written: 20, waiting: 15, read: 15}
	listed := make(map[string]bool)
	exact := 0
	for round := range *killRounds {
		pid := awaitActive(t, b, 0)
		name := fmt.Sprint("round", round)
		runs := f.send(t, b, backends, addr, name)
		if err := killProcess(t, pid); err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			run.Wait()
		}
		awaitActive(t, b, pid)

		var doubts []doubtful
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/in-doubt", &doubts); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]bool)
		for _, d := range doubts {
			if listed[d.RequestID] {
				continue // of an earlier round
			}
			listed[d.RequestID], got[d.RequestID] = true, true
			want := doubtful{
				Pool: "shop", Backend: "http://" + backends[0].Addr, Method: "POST", Host: d.Host, Path: "/order/" + name,
				RequestID: d.RequestID, Reason: "the process was killed: SIGKILL",
			}
			if d != want || !strings.HasPrefix(d.Host, "127.0.0.1") {
				t.Errorf("%s: in doubt is %+v\nwant %+v", name, d, want)
			}
		}
		want := make(map[string]bool)
		for i := range f.written {
			want[fmt.Sprintf("%s-written-%d", name, i)] = true
		}
		if maps.Equal(got, want) {
			exact++
		} else {
			t.Errorf("%s: in doubt are %s", name, slices.Sorted(maps.Keys(got)))
		}
		exit := lastExit(t, b, "killed")
		if in := exit.InFlight; exit.Role != "active" || in.Requests != 50 || in.Unsafe != 35 || in.Written != 35 || in.InDoubt != 20 || len(in.Routes) != 3 {
			t.Errorf("%s: the last exit is %+v", name, exit)
		}
	}
	t.Logf("exact in %d of %d rounds", exact, *killRounds)
	total, err := b.Metric(t.Context(), "/metrics", "caddy_broker_child_in_doubt_total")
	if err != nil || int(total) != f.written**killRounds {
		t.Errorf("%v are counted (%v), want %d", total, err, f.written**killRounds)
	}
	out, err := b.Run(t.Context(), "broker", "last-exit", "--address", b.AdminAddr())
	for _, part := range []string{"killed, SIGKILL", "50 requests, 20 of them in doubt", "20 × POST 127.0.0.1", "15 × GET 127.0.0.1"} {
		if !strings.Contains(out, part) {
			t.Errorf("the command does not say %q (%v):\n%s", part, err, out)
		}
	}
}

// Whatever ends a child, the same is known of its requests, once.
func TestEveryEndLeavesItsRequestsInDoubt(t *testing.T) {
	t.Parallel()
	for reason, end := range map[string]func(t *testing.T, b *harness.Broker, pid int){
		"crash": func(_ *testing.T, _ *harness.Broker, pid int) { _ = syscall.Kill(pid, syscall.SIGSEGV) },
		"hang":  func(_ *testing.T, _ *harness.Broker, pid int) { _ = syscall.Kill(pid, syscall.SIGSTOP) },
		"stop": func(t *testing.T, b *harness.Broker, _ int) {
			if err := b.Admin(t.Context(), http.MethodPost, "/broker/children/default/stop?mode=force", nil); err != nil {
				t.Error(err)
			}
		},
		"replace": func(t *testing.T, b *harness.Broker, _ int) { operate(t, b, "restart") },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			backends, env := newBackends(t)
			start(t, backends[0])
			port := freePort(t)
			b := startBroker(t, strings.Replace(inFlightSites, "{$MORE}", "watchdog 3s\n\t\tdrain_timeout 1s", 1), append(env, "PORT="+port)...)
			f := inFlight{written: 7, waiting: 2, read: 3}
			pid := awaitActive(t, b, 0)
			runs := f.send(t, b, backends, "127.0.0.1:"+port, reason)
			end(t, b, pid)
			if err := awaitEnd(t, pid); err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				run.Stop()
			}
			exit := lastExit(t, b, reason)
			var doubts []doubtful
			if err := b.Admin(t.Context(), http.MethodGet, "/broker/in-doubt", &doubts); err != nil {
				t.Fatal(err)
			}
			ids := make(map[string]int)
			for _, d := range doubts {
				ids[d.RequestID]++
				if d.Path != "/order/"+reason || d.Pool != "shop" {
					t.Errorf("in doubt is %+v", d)
				}
			}
			if len(ids) != f.written || len(doubts) != f.written {
				t.Errorf("in doubt are %d times %d requests, want %d once", len(doubts), len(ids), f.written)
			}
			t.Logf("%s; %+v", exit.Fault, exit.InFlight)
			if reason == "crash" && (!strings.HasPrefix(exit.Fault, "SIGSEGV") || !strings.HasPrefix(exit.Goroutine, "goroutine ")) ||
				reason == "hang" && !strings.HasPrefix(exit.Fault, "SIGABRT") {
				t.Errorf("fault %q of\n%s", exit.Fault, exit.Goroutine)
			}
		})
	}
}
