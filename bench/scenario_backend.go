// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var refuseScenario = &scenario{
	name: "refuse",
	table: report.Table{
		Title: "Backend killed",
		About: "300 requests per second over kept connections, one in ten takes 20 ms; home, the first of three backends, is " +
			"killed with SIGKILL and refuses from then on. Once with GET, once with POST of 200 bytes. \"Never executed\" are " +
			"those POSTs that failed and that no backend began to execute: written, and lost with the backend's process. " +
			"\"Said to be in doubt\" are those whose error says so, beside how many the plugin counts. A gap is a time without a " +
			"success; the one at the fault is the longest that touches the second after it, \"otherwise\" is the longest of " +
			"the second before the fault and of what follows.",
		Figure: "no GET fails; a POST fails only if it had been written to that backend, is said to be in doubt and counted; " +
			"longest gap as nginx, at most 10 ms",
	},
	run: runRefuse,
}

func runRefuse(ctx context.Context, l *lab) ([]report.Value, error) {
	var values []report.Value
	for _, method := range []string{"GET", "POST"} {
		backends, p, err := l.plain(ctx)
		if err != nil {
			return nil, err
		}
		const rate = 300
		results, moment, err := broken(ctx, keptConns(p), rate, pick(l, 2, 5), mix(method, "20ms"),
			func() error { return backends[0].Kill() })
		if err != nil {
			return nil, err
		}
		l.show(method, results)
		values = append(values, count(method+" failed", len(results.Failed())))
		if method == "POST" && !l.subject.Peer {
			counted, err := p.InDoubt(ctx)
			if err != nil {
				return nil, err
			}
			values = append(values,
				count("of those said to be in doubt", len(results.Failed().Where(harness.InDoubt))), count("counted", counted))
		}
		if method == "POST" {
			counts, err := backend.Executions(backends)
			if err != nil {
				return nil, err
			}
			values = append(values,
				count("of those never executed", len(results.Failed().Where(func(r *harness.Result) bool { return counts[r.ID] == 0 }))),
				count("POST executed twice", len(results.Where(func(r *harness.Result) bool { return counts[r.ID] > 1 }))))
		}
		atFault, otherwise := gaps(results, moment)
		values = append(values,
			took(method+" longest gap at the fault", atFault),
			took(method+" otherwise", otherwise),
			took(method+" slowest", results.Slowest()))
		if err = l.close(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// gaps are the longest time without a success that is not over when something
// breaks and begins within a second of it, and the longest of all others.
func gaps(results harness.Results, moment time.Time) (atFault, otherwise time.Duration) {
	for _, s := range results.Silences() {
		d := s.To.Sub(s.From)
		if s.To.After(moment) && s.From.Before(moment.Add(time.Second)) {
			atFault = max(atFault, d)
		} else {
			otherwise = max(otherwise, d)
		}
	}
	return atFault, otherwise
}

// broken sends requests for a second, breaks something, and goes on for so many
// seconds. It returns the moment at which breaking began.
func broken(ctx context.Context, sender harness.Sender, rate, seconds int, requests []harness.Request, fault func() error) (harness.Results, time.Time, error) {
	load := harness.Load{Client: sender, Rate: float64(rate), Count: rate * (1 + seconds), Name: "b", Requests: requests}
	run := load.Start(ctx)
	err := run.AwaitSent(ctx, amidst(rate))
	moment := time.Now()
	if err == nil {
		err = fault()
	}
	results := run.Wait()
	return results, moment, err
}

var hangScenario = &scenario{
	name: "hang",
	table: report.Table{
		Title: "Backend hangs",
		About: "GET, 100 per second over kept connections; home, the first of three, is stopped with SIGSTOP for 6 s: it accepts and " +
			"never answers. Clients wait 5 s. Ours declares a backend hung after 1 s without a byte and without an answered " +
			"ping; the others can only limit how long every answer may take, here to 1 s. The last column is what that costs: " +
			"of 20 requests to healthy backends that take 3 s, how many are lost.",
		Figure: "0 failed, the slowest at most 2.2 s",
	},
	run: runHang,
}

func runHang(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, p, err := l.plain(ctx)
	if err != nil {
		return nil, err
	}
	results, _, err := broken(ctx, keptConns(p), 100, 6, []harness.Request{{Method: "GET"}}, backends[0].Pause)
	if err != nil {
		return nil, err
	}
	l.show("hang", results)
	if err = backends[0].Resume(); err != nil {
		return nil, err
	}
	patient := newConns(p)
	patient.Timeout = 20 * time.Second
	slow := harness.Load{
		Client: patient, Rate: 20, Count: 20, Name: "s", Requests: []harness.Request{{Method: "GET", Path: "/?delay=3s"}},
	}
	lost := slow.Start(ctx).Wait().Failed()
	return append(fates("", results),
		percentile("99th percentile", results, .99),
		took("slowest", results.Slowest()),
		count("3 s answers lost, of 20", len(lost))), nil
}

var dropScenario = &scenario{
	name: "drop",
	table: report.Table{
		Title: "Backend drops packets",
		About: "GET, 100 per second, each on a new connection to the proxy and to the backend; home, the first of three, stops " +
			"accepting and its full queue lets the kernel drop what comes. The others may wait 1 s for a connection.",
		Figure: "slowest at most 1.2 s at first and 10 ms later; at most 16 dials pending",
	},
	run: runDrop,
}

func runDrop(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, err := l.backends(ctx, 3, func(b *backend.Backend) { b.OneRequest = true })
	if err != nil {
		return nil, err
	}
	p, err := l.proxy(ctx, backends, peers.Site{})
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var seen []dials
	var failed error
	var watch sync.WaitGroup
	watch.Go(func() { seen, failed = watchDials(watching, backends[0]) })
	results, moment, err := broken(ctx, newConns(p), 100, pick(l, 4, 8), []harness.Request{{Method: "GET"}},
		func() error { return backends[0].Behave(ctx, backend.Drop) })
	if err != nil {
		return nil, err
	}
	stop()
	if watch.Wait(); failed != nil {
		return nil, failed
	}
	l.show("drop", results)
	const settled = 1200 * time.Millisecond // what the first ones may take
	most, mostLater := 0, 0
	for _, d := range seen {
		most = max(most, d.pending)
		if d.at.Sub(moment) > settled {
			mostLater = max(mostLater, d.pending)
		}
	}
	return append(fates("", results),
		took("slowest of all", results.Slowest()),
		took("slowest after 1.2 s", dueBetween(results, moment, settled, always).Slowest()),
		count("most dials pending", most), count("after 1.2 s", mostLater)), nil
}

// dials is how many dials to a backend were pending at a moment.
type dials struct {
	at      time.Time
	pending int
}

// watchDials counts pending dials until ctx ends.
func watchDials(ctx context.Context, b *backend.Backend) ([]dials, error) {
	var seen []dials
	for pause(ctx, 50*time.Millisecond) == nil { // a lost dial waits for a second
		n, err := peers.Dialling(b.Addr)
		if err != nil {
			return nil, err
		}
		seen = append(seen, dials{time.Now(), n})
	}
	return seen, nil
}
