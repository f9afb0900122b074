// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// lab is one round of one subject: its backends and its proxies, which all end
// with it.
type lab struct {
	subject  peers.Subject
	scenario string
	quick    bool
	dir      string
	verbose  io.Writer // where loads are shown
	// turn is held by the one who is measured, where subjects go through a scenario at
	// the same time and must not disturb each other. It is handed on in the order of asking.
	turn *sync.Mutex

	stops []func() error
}

func (l *lab) close() error {
	var errs []error
	for _, stop := range l.stops {
		errs = append(errs, stop())
	}
	l.stops = nil
	return errors.Join(errs...)
}

// pick is the small number in a quick run.
func pick[T any](l *lab, quick, full T) T {
	if l.quick {
		return quick
	}
	return full
}

// backends starts servers in order; the first one is home.
func (l *lab) backends(ctx context.Context, n int, change func(*backend.Backend)) ([]*backend.Backend, error) {
	dir, err := os.MkdirTemp(l.dir, "b")
	if err != nil {
		return nil, err
	}
	var list []*backend.Backend
	for i := range n {
		b, err := backend.New(fmt.Sprintf("b%d", i), dir)
		if err != nil {
			return nil, err
		}
		if change != nil {
			change(b)
		}
		l.stops = append(l.stops, b.Kill)
		if _, err = b.Start(ctx, backend.Serve); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// proxy starts the subject before the backends.
func (l *lab) proxy(ctx context.Context, backends []*backend.Backend, site peers.Site) (*peers.Proxy, error) {
	site.Case = l.scenario
	if site.Workers == 0 {
		site.Workers = 2
	}
	for _, b := range backends {
		site.Backends = append(site.Backends, b.Addr)
	}
	p, err := l.subject.Start(ctx, l.dir, site)
	if err == nil {
		// Before the backends: a proxy that stops may wait for answers.
		l.stops = append([]func() error{p.Stop}, l.stops...)
	}
	return p, err
}

// plain starts three backends and the subject before them.
func (l *lab) plain(ctx context.Context) ([]*backend.Backend, *peers.Proxy, error) {
	backends, err := l.backends(ctx, 3, nil)
	if err != nil {
		return nil, nil, err
	}
	p, err := l.proxy(ctx, backends, peers.Site{})
	return backends, p, err
}

// shown is how many failed requests of one load are shown.
const shown = 5

// show writes down what became of a load, and how the first failed requests ended.
func (l *lab) show(what string, results harness.Results) {
	fmt.Fprintf(l.verbose, "  %s, %s, %s: %s\n", l.scenario, l.subject.Name, what, results)
	for i, r := range results.Failed() {
		if i == shown {
			break
		}
		fmt.Fprintf(l.verbose, "  %s, %s, %s: %s %s %d after %s: %s %v\n", l.scenario, l.subject.Name, what,
			r.Method, r.Fate, r.Status, r.Latency().Round(time.Millisecond), r.Header.Get("Proxy-Status"), r.Err)
	}
}

// clientTimeout is how long a client waits for an answer.
const clientTimeout = 5 * time.Second

// newConns sends each request on a connection of its own, keptConns keeps them.
func newConns(p *peers.Proxy) *harness.Client {
	return &harness.Client{Addr: p.Addr(), TLS: p.ClientTLS(), Host: "localhost", Timeout: clientTimeout}
}

func keptConns(p *peers.Proxy) *harness.Client {
	c := newConns(p)
	// As with most clients, and for less than a reload may drain.
	c.KeepAlive, c.Watch, c.Idle = true, true, time.Second
	return c
}

// pause waits, as the scenario's clock; it ends early with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func count(column string, n int) report.Value {
	return report.Value{Column: column, Value: float64(n)}
}

// took is a time of which less is better.
func took(column string, d time.Duration) report.Value {
	return report.Value{Column: column, Unit: report.Milliseconds, Value: ms(d), Compare: true}
}
