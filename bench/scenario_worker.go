// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/client"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var killScenario = &scenario{
	name: "kill",
	table: report.Table{
		Title: "Worker killed with SIGKILL",
		About: "GET, 200 per second, each on a new connection, one in ten takes 50 ms. The process that serves is killed once: " +
			"the supervised child, nginx's only worker, HAProxy's worker, Caddy itself. HAProxy's master ends with its worker; " +
			"it and stock Caddy are started again after 100 ms and have a socket that is held meanwhile, as by systemd. " +
			"Our restart delay is the default of 2 s.",
		Figure: "nothing refused, and nothing lost that was sent after the end of the process; longest gap with a standby as nginx, without at most 2.2 s",
	},
	run: runKill,
}

func runKill(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, err := l.backends(ctx, 3, nil)
	if err != nil {
		return nil, err
	}
	p, err := l.proxy(ctx, backends, peers.Site{Workers: 1})
	if err != nil {
		return nil, err
	}
	const rate = 200
	load := harness.Load{
		Client: newConns(p), Rate: rate, Count: rate * pick(l, 4, 7), Name: "k", Requests: mix("GET", "50ms"),
	}
	run := load.Start(ctx)
	if err = run.AwaitSent(ctx, amidst(rate)); err != nil {
		return nil, err
	}
	workers, err := p.Workers(ctx)
	if err != nil {
		return nil, err
	}
	before := time.Now()
	if err = syscall.Kill(workers[0], syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("killing worker: %w", err)
	}
	for harness.Alive(workers[0]) {
		if err = pause(ctx, 500*time.Microsecond); err != nil {
			return nil, err
		}
	}
	gone := time.Now()
	results := run.Wait()
	l.show("kill", results)
	// A dying process still accepts; a client knows of its connection later.
	inProgress := results.Where(func(r *harness.Result) bool {
		return !r.Dialed.IsZero() && r.Began.Before(gone) && r.End.After(before)
	})
	later := results.Failed().Where(func(r *harness.Result) bool { return r.Began.After(gone) })
	return append(fates("", results),
		count("in progress at the kill", len(inProgress)),
		count("lost, though sent after its end", len(later)),
		took("longest gap", results.Gap()),
		percentile("99th percentile", results, .99),
		took("slowest", results.Slowest())), nil
}

var reloadScenario = &scenario{
	name: "reload",
	table: report.Table{
		Title: "40 reloads",
		About: "POST of 200 bytes, 250 per second, one in ten takes 50 ms, while the configuration is reloaded 40 times, " +
			"a quarter of a second after the last reload was done. What is drained may take 2 s. Clients do not retry; like " +
			"most they notice when a kept connection was closed while it was idle, drop one that was idle for a second, and " +
			"over HTTP/2 they honour GOAWAY. " +
			"Failed requests of about 3,000 to 6,000 in each column.",
		Figure: "0 failed",
	},
	run: runReload,
}

var reloadVariants = []struct {
	name             string
	kept, tls, http2 bool
}{
	{"kept connections", true, false, false},
	{"new connections", false, false, false},
	{"TLS, kept", true, true, false},
	{"TLS, new", false, true, false},
	{"HTTP/2", true, true, true},
}

func runReload(ctx context.Context, l *lab) ([]report.Value, error) {
	backends, err := l.backends(ctx, 3, nil)
	if err != nil {
		return nil, err
	}
	var values []report.Value
	var slowest time.Duration
	for _, variant := range reloadVariants {
		p, err := l.proxy(ctx, backends, peers.Site{TLS: variant.tls})
		if err != nil {
			return nil, err
		}
		var sender harness.Sender = newConns(p)
		switch {
		case variant.http2:
			sender = &client.H2{Addr: p.Addr(), TLS: p.ClientTLS(), Conns: 8, Timeout: clientTimeout}
		case variant.kept:
			sender = keptConns(p)
		}
		results, err := reloads(ctx, l, p, sender)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variant.name, err)
		}
		l.show(variant.name, results)
		values = append(values, count(variant.name, len(results.Failed())))
		slowest = max(slowest, results.Slowest())
		if err = p.Stop(); err != nil {
			return nil, err
		}
	}
	return append(values, took("slowest of all", slowest)), nil
}

func reloads(ctx context.Context, l *lab, p *peers.Proxy, sender harness.Sender) (harness.Results, error) {
	const rate = 250
	load := harness.Load{Client: sender, Rate: rate, Name: "r", Requests: mix("POST", "50ms")}
	run := load.Start(ctx)
	defer run.Stop()
	for range pick(l, 5, 40) {
		if err := run.AwaitSent(ctx, rate/4); err != nil {
			return nil, err
		}
		if err := p.Reload(ctx); err != nil {
			return nil, err
		}
	}
	if err := run.AwaitSent(ctx, rate); err != nil {
		return nil, err
	}
	return run.Stop(), nil
}
