// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var closeScenario = &scenario{
	name: "close",
	table: report.Table{
		Title: "Backend accepts and closes",
		About: "100 requests per second over kept connections; home, the first of three, closes every connection as soon as it " +
			"is accepted, for 8 s, and its old ones at the beginning. Once with GET, once with POST of 200 bytes.",
		Figure: "at most 2 requests lost in each back-off period",
	},
	run: runClose,
}

func runClose(ctx context.Context, l *lab) ([]report.Value, error) {
	var values []report.Value
	for _, method := range []string{"GET", "POST"} {
		backends, p, err := l.plain(ctx)
		if err != nil {
			return nil, err
		}
		results, _, err := broken(ctx, keptConns(p), 100, pick(l, 3, 8), mix(method, "20ms"),
			func() error { return backends[0].Behave(ctx, backend.Close) })
		if err != nil {
			return nil, err
		}
		l.show(method, results)
		values = append(values,
			count(method+" failed", len(results.Failed())), took(method+" slowest", results.Slowest()))
		if err = l.close(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

var resetScenario = &scenario{
	name: "reset",
	table: report.Table{
		Title: "Every backend resets every request",
		About: "GET, 50 per second for 4 s, five backends that read each request and then reset its connection. " +
			"They answer health checks, so that nobody stops trying. " +
			"No request can succeed; what counts is how often one is sent. Ours gives up after a timeout of 3 s.",
		Figure: "each request written at most 3 times",
	},
	run: runReset,
}

func runReset(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, err := l.backends(ctx, 5, nil)
	if err != nil {
		return nil, err
	}
	p, err := l.proxy(ctx, backends, peers.Site{})
	if err != nil {
		return nil, err
	}
	for _, b := range backends {
		if err = b.Behave(ctx, backend.Reset); err != nil {
			return nil, err
		}
	}
	load := harness.Load{Client: keptConns(p), Rate: 50, Count: 50 * pick(l, 2, 4), Name: "x"}
	results := load.Start(ctx).Wait()
	counts, err := backend.Executions(backends)
	if err != nil {
		return nil, err
	}
	l.show("reset", results)
	most, sum := 0, 0
	for _, r := range results {
		most, sum = max(most, counts[r.ID]), sum+counts[r.ID]
	}
	return append(fates("", results),
		count("written at most", most),
		report.Value{Column: "written on average", Value: float64(sum) / float64(len(results))}), nil
}

var cutScenario = &scenario{
	name: "cut",
	table: report.Table{
		Title: "Backend cuts its answers",
		About: "GET, 50 per second for 4 s; home, the first of three, ends every answer of 100,000 bytes after 1,000. " +
			"An answer that has begun can only be passed on as it is; a client has to be able to see that it is not whole.",
		Figure: "none looks whole",
	},
	run: runCut,
}

func runCut(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, p, err := l.plain(ctx)
	if err != nil {
		return nil, err
	}
	if err = backends[0].Behave(ctx, backend.Cut); err != nil {
		return nil, err
	}
	load := harness.Load{Client: keptConns(p), Rate: 50, Count: 50 * pick(l, 2, 4), Name: "c"}
	results := load.Start(ctx).Wait()
	l.show("cut", results)
	var fromHome, looksWhole, elsewhere int
	for _, r := range results {
		switch {
		case r.Header.Get(harness.BackendName) != backends[0].Name:
			if r.Fate == harness.OK {
				elsewhere++
			}
		case r.Fate == harness.OK:
			looksWhole++
		default:
			fromHome++
		}
	}
	return []report.Value{
		count("cut, and seen to be", fromHome), count("cut, and looks whole", looksWhole),
		count("answered by another backend", elsewhere),
	}, nil
}
