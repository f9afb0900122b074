// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// configure takes the options and configured addresses of a configuration.
// Members that stay keep what is known of them; new ones are eligible from the
// start; those that are gone keep their requests in progress and get no new ones.
func (x *machine) configure(cfg Config) {
	x.opt, x.back, x.dirty = cfg.Options, tracker.NewBackoff(cfg.Options), true
	x.dynamic = cfg.Dynamic
	old := make(map[string]*Member, len(x.members))
	for _, m := range x.members {
		old[m.Name] = m
	}
	list := x.members
	x.members = make([]*Member, 0, len(cfg.URIs))
	for _, u := range x.wanted(cfg.URIs, x.priority()) {
		m := old[u.Key()]
		if m == nil {
			m = x.newMember(u)
			m.home = x.calls(m)
		}
		m.pushed, m.sourced, m.dynamic = false, false, false // the operator's now, whatever source named it before
		m.restricted = false
		m.limits = address.LimitsOf(u.Options, x.opt.Nested)
		delete(old, m.Name)
		x.members = append(x.members, m)
	}
	for _, m := range list {
		if old[m.Name] == nil {
			continue
		}
		if m.pushed && (!m.dynamic || x.dynamic || x.handOver(m)) {
			m.limits = address.LimitsOf(m.URI.Options, x.opt.Nested)
			x.members = append(x.members, m)
			continue
		}
		x.retire(m)
	}
	x.rank(x.opt)
	for _, m := range x.members {
		m.home = m.home || m.rank >= 0 && m.state == stateUp
	}
	x.warm, x.warmFor = nil, nil // the carrier may be another one
	x.unask()
	x.fitSamples()
	x.relent()
}

// priority are the priority addresses that the options name.
func (x *machine) priority() []address.URI {
	if !x.opt.PriorityBackup {
		return nil
	}
	return x.opt.PriorityURIs
}

func (x *machine) newMember(u address.URI) *Member {
	m := newMember(u)
	x.serials++
	m.node = node{serial: x.serials, since: x.now, gate: tracker.NewGate(tracker.Gate{}), rank: -1, index: -1}
	_, m.drained = x.drains[m.Name]
	m.limits = address.LimitsOf(u.Options, x.opt.Nested)
	return m
}

// retire forgets a member that is no longer in the list.
func (x *machine) retire(m *Member) {
	m.index, m.since = -1, x.now
	m.gone, m.inPass = true, false
	x.left = append(slices.DeleteFunc(x.left, func(o *Member) bool { return o.inProgress.Load() == 0 }), m)
	x.out.retired = append(x.out.retired, m)
	x.abandon(m)
	if x.forced == m {
		x.forced = nil
		x.log(slog.LevelWarn, "manual failover has ended: its target is no address of the pool any more", "upstream", m.Name)
	}
	if x.current == m {
		x.current = nil
	}
	x.forgive(m)
	// Moves to it end when their clients come: to look for them takes longer.
}
