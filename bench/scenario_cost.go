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

// cost is what of a request that goes well is measured.
type cost struct {
	name, title string
	tls, http2  bool
	// dialled leaves Caddy its few idle connections, so that many clients together
	// need new ones.
	dialled bool
	// defaults leaves all that the user may set as it is, and compares with stock Caddy
	// alone, also with our setting of the garbage collector.
	defaults bool
}

// conns are how many clients there are at a time.
func (c *cost) conns() []int {
	if c.dialled {
		return []int{256}
	}
	return []int{32, 256}
}

// idle is how many idle connections Caddy may keep to a backend; 0 is its default.
func (c *cost) idle() int {
	switch {
	case c.defaults:
		return 0
	case c.dialled:
		return 31 // 32 would be as good as nothing said
	}
	return 256
}

func (c *cost) about() string {
	clients := "GET over 32 and over 256 connections, each with one request at a time, three times 0.8 s after 0.4 s of warming up; " +
		"the proxies take turns. All requests go to the first of three backends, to which every proxy may keep 256 idle " +
		"connections, nginx each of its workers. "
	if c.defaults {
		clients = "GET over 32 and over 256 connections, each with one request at a time, three times 0.8 s after 0.4 s of warming up; " +
			"the proxies take turns. All requests go to the first of three backends. Every setting has its default, but for stock " +
			"Caddy with GOGC=400 in its environment. "
	}
	if c.dialled {
		clients = "As above, and Caddy keeps 31 idle connections: many requests need a new one. "
	}
	return clients +
		"Processor time is that of all processes of the proxy, from /proc. Requests per second are limited by the load " +
		"generator and the backends, which share the processors with the proxy. \"lb_policy first\" is Caddy's own policy in " +
		"the same program as ours: beside it the policy alone counts, beside stock Caddy also that the program is another one."
}

func (c *cost) subjects(set *peers.Set) []peers.Subject {
	if c.defaults {
		return []peers.Subject{set.Broker, set.Stock, set.StockGC}
	}
	caddys := []peers.Subject{set.Broker, set.Policy, set.First, set.Stock}
	if c.dialled {
		return caddys
	}
	return append(caddys, set.Others...)
}

func costScenario(c *cost) *scenario {
	s := &scenario{
		name:   c.name,
		rounds: 10,
		aside:  true,
		table: report.Table{
			Title:  "Cost of a request, " + c.title,
			About:  c.about(),
			Figure: "processor time with the policy alone at most 1.03 × lb_policy first",
		},
		subjects: c.subjects,
		run:      c.run,
	}
	if c.defaults {
		s.table.Figure = "processor time at most 0.90 × stock Caddy, and 1.03 × stock Caddy with the same setting of the garbage collector"
	}
	s.after = func(t *report.Table, set *peers.Set) {
		for _, conns := range c.conns() {
			column := cpuColumn(conns)
			for _, pair := range [][2]peers.Subject{
				{set.Policy, set.First}, {set.Policy, set.Stock}, {set.First, set.Stock}, {set.Broker, set.Stock}, {set.Broker, set.StockGC},
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

func cpuColumn(conns int) string { return fmt.Sprintf("processor time, %d connections", conns) }

func (c *cost) run(ctx context.Context, l *lab) ([]report.Value, error) {
	l.scenario = "cost"
	p, err := c.start(ctx, l)
	if err != nil {
		return nil, err
	}
	var values []report.Value
	for _, conns := range c.conns() {
		var sum spent
		for range pick(l, 1, 3) {
			one, err := c.slice(ctx, l, p, conns)
			if err != nil {
				return nil, err
			}
			sum.add(one)
		}
		if sum.requests == 0 {
			return nil, errors.New("no request was answered")
		}
		n := float64(sum.requests)
		values = append(values,
			report.Value{Column: cpuColumn(conns), Unit: report.Microseconds, Value: float64(sum.cpu.Microseconds()) / n, Compare: true},
			report.Value{Column: fmt.Sprintf("requests, %d connections", conns), Unit: report.PerSecond, Value: n / sum.time.Seconds()})
	}
	return values, nil
}

func (c *cost) start(ctx context.Context, l *lab) (*peers.Proxy, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	backends, err := l.backends(ctx, 3, func(b *backend.Backend) { b.Record = "" })
	if err != nil {
		return nil, err
	}
	return l.proxy(ctx, backends, peers.Site{TLS: c.tls, Idle: c.idle()})
}

// spent is what a number of requests took.
type spent struct {
	requests  int64
	cpu, time time.Duration
}

func (s *spent) add(o spent) {
	s.requests += o.requests
	s.cpu += o.cpu
	s.time += o.time
}

// slice keeps the connections busy for a while, when it is the subject's turn.
func (c *cost) slice(ctx context.Context, l *lab, p *peers.Proxy, conns int) (s spent, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	pids, err := p.Processes(ctx)
	if err != nil {
		return s, err
	}
	steady := &client.Steady{Addr: p.Addr(), Conns: conns, TLS: p.ClientTLS(), HTTP2: c.http2}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- steady.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if err = pause(ctx, 400*time.Millisecond); err != nil {
		return s, err
	}
	begin, answered := time.Now(), steady.Answered()
	used, err := peers.CPU(pids)
	if err != nil {
		return s, err
	}
	if err = pause(ctx, 800*time.Millisecond); err != nil {
		return s, err
	}
	usedNow, err := peers.CPU(pids)
	return spent{steady.Answered() - answered, usedNow - used, time.Since(begin)}, err
}
