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
	"github.com/caddy-broker/caddy-broker/bench/client"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
)

// costScenario measures over one protocol what a request costs that goes well.
func costScenario(name, protocol string, tls, http2 bool) *scenario {
	s := &scenario{
		name:   name,
		rounds: 10,
		table: report.Table{
			Title: "Cost of a request, " + protocol,
			About: "GET over 32 and over 256 connections, each with one request at a time, for 3 s after a second of warming up; all " +
				"go to the first of three backends, to which every proxy may keep 256 idle connections. " +
				"Processor time is that of all processes of the proxy, from /proc. Requests " +
				"per second are limited by the load generator and the backends, which share the processors with the proxy. " +
				"\"lb_policy first\" is Caddy's own policy in the same program as ours: beside it the policy alone counts, " +
				"beside stock Caddy also that the program is another one.",
			Figure: "processor time with the policy alone at most 1.03 × lb_policy first",
		},
		subjects: func(set *peers.Set) []peers.Subject {
			return append([]peers.Subject{set.Broker, set.Policy, set.First, set.Stock}, set.Others...)
		},
		run: func(ctx context.Context, l *lab) ([]report.Value, error) { return runCost(ctx, l, tls, http2) },
	}
	s.after = func(t *report.Table, set *peers.Set) {
		for _, conns := range costConns {
			column := cpuColumn(conns)
			for _, pair := range [][2]peers.Subject{
				{set.Policy, set.First}, {set.Policy, set.Stock}, {set.First, set.Stock}, {set.Broker, set.Stock},
			} {
				if ratio, ok := t.Ratio(pair[0].Name, pair[1].Name, column); ok {
					t.Note("%s against %s, %s, round by round: median %.3f, quartiles %.3f to %.3f, extremes %.3f to %.3f, %d rounds.",
						pair[0].Name, pair[1].Name, column, ratio.Median, ratio.Low, ratio.High, ratio.Min, ratio.Max, ratio.N)
				}
			}
		}
	}
	return s
}

var costConns = []int{32, 256}

func cpuColumn(conns int) string { return fmt.Sprintf("processor time, %d connections", conns) }

func runCost(ctx context.Context, l *lab, tls, http2 bool) ([]report.Value, error) {
	l.scenario = "cost"
	backends, err := l.backends(ctx, 3, func(b *backend.Backend) { b.Record = "" })
	if err != nil {
		return nil, err
	}
	p, err := l.proxy(ctx, backends, peers.Site{TLS: tls})
	if err != nil {
		return nil, err
	}
	var values []report.Value
	for _, conns := range costConns {
		steady := &client.Steady{Addr: p.Addr(), Conns: conns, TLS: p.ClientTLS(), HTTP2: http2}
		cpu, rate, err := cost(ctx, l, p, steady)
		if err != nil {
			return nil, err
		}
		values = append(values,
			report.Value{Column: cpuColumn(conns), Unit: report.Microseconds, Value: cpu, Compare: true},
			report.Value{Column: fmt.Sprintf("requests, %d connections", conns), Unit: report.PerSecond, Value: rate})
	}
	return values, nil
}

// cost is the processor time per request in microseconds, and requests per second.
func cost(ctx context.Context, l *lab, p *peers.Proxy, steady *client.Steady) (cpu, rate float64, err error) {
	pids, err := p.Processes(ctx)
	if err != nil {
		return 0, 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- steady.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if err = pause(ctx, pick(l, 200*time.Millisecond, time.Second)); err != nil {
		return 0, 0, err
	}
	begin, answered := time.Now(), steady.Answered()
	used, err := peers.CPU(pids)
	if err != nil {
		return 0, 0, err
	}
	if err = pause(ctx, pick(l, time.Second, 3*time.Second)); err != nil {
		return 0, 0, err
	}
	usedNow, err := peers.CPU(pids)
	if err != nil {
		return 0, 0, err
	}
	n, took := float64(steady.Answered()-answered), time.Since(begin)
	if n == 0 {
		return 0, 0, errors.New("no request was answered")
	}
	return float64((usedNow - used).Microseconds()) / n, n / took.Seconds(), nil
}
