// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// classic is a program whose master reads its configuration again on a signal and
// has workers as its children.
type classic struct {
	args  []string
	again time.Duration
}

func newNginx(site *Site, bin string) (kind, error) {
	file, err := site.render("nginx.conf")
	args := []string{bin, "-p", site.Dir, "-e", site.Dir + "/error.log", "-c", file}
	return &classic{args: args}, err
}

func (c *classic) command() []string { return c.args }

func (c *classic) env() []string { return nil }

func (c *classic) revived() time.Duration { return c.again }

func (c *classic) ready(ctx context.Context, master int) error {
	_, err := c.workers(ctx, master)
	return err
}

// workers are the master's children, the youngest first.
func (c *classic) workers(_ context.Context, master int) ([]int, error) {
	pids, err := childrenOf(master)
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 {
		return nil, errors.New("the master has no worker")
	}
	slices.SortFunc(pids, func(a, b int) int { return b - a })
	return pids, nil
}

// reload is done when a worker lives that did not before: nginx opens its sockets
// before it starts them.
func (c *classic) reload(ctx context.Context, p *Proxy) error {
	master := p.Master()
	before, err := c.workers(ctx, master)
	if err != nil {
		return err
	}
	if err = syscall.Kill(master, syscall.SIGHUP); err != nil {
		return fmt.Errorf("signalling the master: %w", err)
	}
	return harness.Until(ctx, startPatience, func() error {
		now, err := c.workers(ctx, master)
		if err != nil {
			return err
		}
		for _, pid := range now {
			if !slices.Contains(before, pid) {
				return nil
			}
		}
		return errors.New("there is no new worker")
	})
}
