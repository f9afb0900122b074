// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// errNoHandler says that no handler is left to reach a member through.
var errNoHandler = errors.New("no handler uses this pool any more")

// carrier reaches the members of one pool through the handlers that share it.
type carrier struct {
	entry    *poolEntry
	registry *poolRegistry
}

// policies are those of the configuration in effect; with all, also those of
// older ones that still have requests in progress.
func (c *carrier) policies(all bool) []*Failover {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	w := c.entry.winner()
	var list []*Failover
	for _, claim := range slices.Backward(c.entry.claims) {
		if claim.active && (all || claim.generation == w.generation) {
			list = append(list, claim.policy)
		}
	}
	return list
}

// Ping pings m through the newest handler.
func (c *carrier) Ping(ctx context.Context, m *failover.Member) report.PingResult {
	list := c.policies(false)
	if len(list) == 0 {
		return report.PingResult{Err: errNoHandler, Neutral: true}
	}
	return list[0].way.Ping(ctx, m)
}

// Release ends what is blocked on m in any handler.
func (c *carrier) Release(m *failover.Member) {
	for _, f := range c.policies(true) {
		if b := f.way.Known(m); b != nil {
			b.Release(fault.ErrHung)
		}
	}
}

// Warm makes each handler hold a warm connection to each of members.
func (c *carrier) Warm(members []*failover.Member) {
	for _, f := range c.policies(false) {
		f.way.Warm(members)
	}
}

// Interface guard
var _ failover.Carrier = (*carrier)(nil)
