// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// configure takes the options and configured addresses of a configuration.
// Members that stay keep what is known of them; new ones are eligible from the
// start; those that are gone keep their requests in progress and get no new ones.
func (x *machine) configure(cfg Config) {
	x.opt, x.back, x.dirty = cfg.Options, newBackoff(cfg.Options), true
	x.dynamic = cfg.Dynamic
	old := make(map[string]*Member, len(x.members))
	for _, m := range x.members {
		old[m.Name] = m
	}
	list := x.members
	x.members = make([]*Member, 0, len(cfg.URIs))
	for _, u := range x.wanted(cfg.URIs) {
		m := old[u.Key()]
		if m == nil {
			m = x.newMember(u)
			m.home = x.calls(m)
		}
		m.pushed, m.sourced, m.dynamic = false, false, false // the operator's now, whoever named it before
		m.restricted.Store(false)
		m.setLimits(limitsOf(u.Options, x.opt.Nested))
		delete(old, m.Name)
		x.members = append(x.members, m)
	}
	for _, m := range list {
		if old[m.Name] == nil {
			continue
		}
		if m.pushed && (!m.dynamic || x.dynamic || x.handOver(m)) {
			m.setLimits(limitsOf(m.URI.Options, x.opt.Nested))
			x.members = append(x.members, m)
			continue
		}
		x.retire(m)
	}
	x.rank()
	for _, m := range x.members {
		m.home = m.home || m.rank >= 0 && m.state == stateUp
	}
	x.warm, x.warmFor = nil, nil // the carrier may be another one
	x.unask()
	x.sampler.configure(x.members)
}

// wanted are the addresses of a configuration without those that the operator
// removed at run time, each once, and with the priority addresses that are in no
// list.
func (x *machine) wanted(configured []address.URI) (uris []address.URI) {
	seen := make(map[string]bool, len(configured))
	for _, u := range x.removed {
		seen[u.Key()] = true
	}
	add := func(list []address.URI) {
		for _, u := range list {
			if key := u.Key(); !seen[key] {
				seen[key] = true
				uris = append(uris, u)
			}
		}
	}
	add(configured)
	if x.opt.PriorityBackup {
		add(x.opt.PriorityURIs)
	}
	if len(uris) == 0 {
		clear(seen) // a pool never ends up without addresses
		add(configured)
	}
	return uris
}

func (x *machine) newMember(u address.URI) *Member {
	m := newMember(u)
	x.serials++
	m.node = node{serial: x.serials, since: x.now, gate: newGate(), rank: -1, drained: x.drains[m.Name]}
	m.setLimits(limitsOf(u.Options, x.opt.Nested))
	return m
}

// retire forgets a member that is no longer in the list.
func (x *machine) retire(m *Member) {
	m.index.Store(-1)
	m.gone, m.inPass = true, false
	x.abandon(m)
	if x.forced == m {
		x.forced = nil
		x.log(slog.LevelWarn, "manual failover has ended: its target is no address of the pool any more", "upstream", m.Name)
	}
	if x.current == m {
		x.current = nil
	}
	// Moves to it end when their clients come: to look for them takes longer.
}

// rank numbers the priority members: those the user named, in that order, or
// the first of the list.
func (x *machine) rank() {
	for _, m := range x.members {
		m.rank = -1
	}
	if !x.opt.PriorityBackup {
		return
	}
	if len(x.opt.PriorityURIs) == 0 {
		if len(x.members) > 0 {
			x.members[0].rank = 0
		}
		return
	}
	for i, u := range x.opt.PriorityURIs {
		if m := x.find(u); m != nil && m.rank < 0 {
			m.rank = i
		}
	}
}
