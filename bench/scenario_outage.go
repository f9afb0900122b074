// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var outageScenario = &scenario{
	name:  "outage",
	aside: true,
	table: report.Table{
		Title: "All backends down, one returns",
		About: "GET, 20 per second, each on a new connection whose client waits 5 s. All three backends are killed; after 2, 30 " +
			"or 90 s home is started again. The time is from when it listens until the first good answer. \"Failed\" are " +
			"the requests lost in the outage of 2 s. The proxies go through this side by side.",
		Figure: "first success at most 1.2 s after the return",
	},
	run: runOutage,
}

func runOutage(ctx context.Context, l *lab) ([]report.Value, error) {
	var values []report.Value
	for i, outage := range pick(l, []time.Duration{2 * time.Second}, []time.Duration{2 * time.Second, 30 * time.Second, 90 * time.Second}) {
		backends, p, err := l.plain(ctx)
		if err != nil {
			return nil, err
		}
		load := harness.Load{Client: newConns(p), Rate: 20, Name: "o"}
		run := load.Start(ctx)
		err = run.AwaitSent(ctx, 20)
		for _, b := range backends {
			err = errors.Join(err, b.Kill())
		}
		if err = errors.Join(err, pause(ctx, outage)); err != nil {
			return nil, errors.Join(err, stopped(run))
		}
		returned, err := backends[0].Start(ctx, backend.Serve)
		// Long enough for everybody to have seen it, whatever he is waiting for.
		if err = errors.Join(err, pause(ctx, 20*time.Second)); err != nil {
			return nil, errors.Join(err, stopped(run))
		}
		results := run.Stop()
		l.show(outage.String(), results)
		first, found := firstAfter(results, returned, backends[0].Name)
		if !found {
			return nil, fmt.Errorf("no success within 20 s after an outage of %s", outage)
		}
		values = append(values, took(fmt.Sprintf("after %s", outage), first))
		if i == 0 {
			values = append(values, count("failed, outage of 2s", len(results.Failed())))
		}
		if err = l.close(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func stopped(run *harness.Run) error {
	run.Stop()
	return nil
}

// firstAfter is how long after the moment the backend gave its first good answer.
func firstAfter(results harness.Results, moment time.Time, name string) (time.Duration, bool) {
	first, found := time.Duration(0), false
	for _, r := range results {
		if r.Fate != harness.OK || r.Header.Get(harness.BackendName) != name || r.End.Before(moment) {
			continue
		}
		if after := r.End.Sub(moment); !found || after < first {
			first, found = after, true
		}
	}
	return first, found
}

var failbackScenario = &scenario{
	name:  "failback",
	aside: true,
	table: report.Table{
		Title: "Home returns after 90 s",
		About: "GET, 50 per second over kept connections. Home, the first of three, is killed and started again after 90 s. " +
			"The time is from when it listens until it answers the first request. Ours wants pings answered for 1 s " +
			"(failback_delay) before; HAProxy and stock Caddy are set to three good checks within a second; nginx tries with " +
			"requests of clients, at most one a second. The proxies go through this side by side.",
		Figure: "at most 2.5 s (failback_delay + 1.5 s), no request lost",
	},
	run: func(ctx context.Context, l *lab) ([]report.Value, error) {
		return runReturn(ctx, l, pick(l, 5*time.Second, 90*time.Second), 0)
	},
}

var startingScenario = &scenario{
	name:  "starting",
	aside: true,
	table: report.Table{
		Title: "Home returns and answers 503 for 20 s",
		About: "As above, but home is away for 10 s, and answers everything with 503 for the first 20 s of its new life. " +
			"The time counts from the end of those. \"Sent too early\" are requests of clients that home got while it was starting.",
		Figure: "none sent too early, none lost, home serves at most 2.5 s after it can",
	},
	run: func(ctx context.Context, l *lab) ([]report.Value, error) {
		l.scenario = "failback" // the same settings
		return runReturn(ctx, l, pick(l, 2*time.Second, 10*time.Second), pick(l, 3*time.Second, 20*time.Second))
	},
}

// runReturn takes home away for a time and lets it start for another.
func runReturn(ctx context.Context, l *lab, away, starting time.Duration) ([]report.Value, error) {
	backends, p, err := l.plain(ctx)
	if err != nil {
		return nil, err
	}
	home := backends[0]
	load := harness.Load{Client: keptConns(p), Rate: 50, Name: "f"}
	run := load.Start(ctx)
	defer run.Stop()
	if err = run.AwaitSent(ctx, 50); err != nil {
		return nil, err
	}
	if err = errors.Join(home.Kill(), pause(ctx, away)); err != nil {
		return nil, err
	}
	mode := backend.Serve
	if starting > 0 {
		mode = backend.Starting
	}
	able, err := home.Start(ctx, mode)
	if err != nil {
		return nil, err
	}
	if starting > 0 {
		if err = pause(ctx, starting); err != nil {
			return nil, err
		}
		if err = home.Behave(ctx, backend.Serve); err != nil {
			return nil, err
		}
		able = time.Now()
	}
	if err = pause(ctx, pick(l, 5*time.Second, 15*time.Second)); err != nil {
		return nil, err
	}
	results := run.Stop()
	l.show("return", results)
	first, found := firstAfter(results, able, home.Name)
	if !found {
		return nil, errors.New("home got no request after its return")
	}
	values := []report.Value{took("home serves after", first), count("failed", len(results.Failed()))}
	if starting > 0 {
		records, err := home.Records()
		if err != nil {
			return nil, err
		}
		early := 0
		for _, r := range records {
			if r.Mode == backend.Starting {
				early++
			}
		}
		values = append(values, count("sent too early", early))
	}
	return append(values, took("slowest", results.Slowest())), nil
}
