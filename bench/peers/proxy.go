// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const (
	// startPatience is how long a proxy may take until it serves.
	startPatience = 30 * time.Second
	// stopPatience is how long it may take to end in order.
	stopPatience = 10 * time.Second
	// systemdRestart is systemd's RestartSec by default. Proxies that do not start
	// their worker again by themselves are started again after that.
	systemdRestart = 100 * time.Millisecond
)

// Subject is a proxy that takes part.
type Subject struct {
	Name string
	// Peer tells others from this plugin.
	Peer bool
	// HA reports whether the worker is a process beside its parent.
	HA bool

	start func(site *Site) (kind, error)
}

// kind is what differs between the programs.
type kind interface {
	// command is how it is started.
	command() []string
	// env are variables beside the usual ones.
	env() []string
	// ready tells, beyond an answered request, whether all is as it shall be.
	ready(ctx context.Context, master int) error
	// workers are the processes that serve.
	workers(ctx context.Context, master int) ([]int, error)
	reload(ctx context.Context, p *Proxy) error
	// revived is how long after its death the program is started again; 0: never.
	revived() time.Duration
}

// Proxy is a running subject.
type Proxy struct {
	Subject Subject
	Site    *Site

	kind kind
	*runner
}

// Start starts the subject for the site and returns when it serves; its files go
// into a folder of its own below dir.
func (s Subject) Start(ctx context.Context, dir string, site Site) (*Proxy, error) {
	var err error
	if site.Dir, err = os.MkdirTemp(dir, "p"); err != nil {
		return nil, err
	}
	if site.Port, err = harness.FreePort(); err != nil {
		return nil, err
	}
	admin, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	site.Admin, site.Root = "127.0.0.1:"+admin, os.Geteuid() == 0
	if site.TLS {
		if err = site.certify(); err != nil {
			return nil, err
		}
	}
	k, err := s.start(&site)
	if err != nil {
		return nil, fmt.Errorf("configuring %s: %w", s.Name, err)
	}
	p := &Proxy{Subject: s, Site: &site, kind: k}
	var pass *os.File
	if site.Passed {
		if pass, err = site.listen(); err != nil {
			return nil, err
		}
	}
	if p.runner, err = run(k, site.Dir, pass); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	if err = p.awaitReady(ctx); err != nil {
		err = fmt.Errorf("starting %s: %w\n%s", s.Name, err, p.output())
		return nil, joinStop(err, p)
	}
	return p, nil
}

// Addr is where it serves.
func (p *Proxy) Addr() string { return "127.0.0.1:" + p.Site.Port }

// ClientTLS is what clients dial with; nil for a site without TLS.
func (p *Proxy) ClientTLS() *tls.Config {
	if !p.Site.TLS {
		return nil
	}
	// The certificate was made a moment ago by nobody.
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true} //nolint:gosec
}

func (p *Proxy) awaitReady(ctx context.Context) error {
	client := harness.Client{Addr: p.Addr(), TLS: p.ClientTLS(), Timeout: time.Second}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.done: // it has ended and is not started again
			cancel(errors.New("the program has ended"))
		case <-ctx.Done():
		}
	}()
	err := harness.Until(ctx, startPatience, func() error {
		res := client.Do(ctx, "", time.Now(), harness.Request{Method: "GET"})
		if res.Fate != harness.OK {
			return fmt.Errorf("%s %d: %w", res.Fate, res.Status, res.Err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return harness.Until(ctx, startPatience, func() error { return p.kind.ready(ctx, p.Master()) })
}

// Workers are the ids of the processes that serve.
func (p *Proxy) Workers(ctx context.Context) ([]int, error) {
	return p.kind.workers(ctx, p.Master())
}

// Reload makes it read its configuration again and returns when it says, or
// shows by a new worker, that this is done.
func (p *Proxy) Reload(ctx context.Context) error { return p.kind.reload(ctx, p) }

// InDoubt is how many requests the plugin counts that may have been executed
// without an answer.
func (p *Proxy) InDoubt(ctx context.Context) (int, error) {
	text, err := get(ctx, "http://"+p.Site.Admin+"/metrics")
	if err != nil {
		return 0, err
	}
	n, err := harness.Metric(text, "caddy_failover_in_doubt_total")
	return int(n), err
}

// Processes are the ids of all its processes.
func (p *Proxy) Processes(ctx context.Context) ([]int, error) {
	workers, err := p.Workers(ctx)
	master := p.Master()
	pids := []int{master}
	for _, pid := range workers {
		if pid != master {
			pids = append(pids, pid)
		}
	}
	return pids, err
}
