// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// keepsBack reports whether a snapshot has to say that a member does not call its
// clients home. Where they are all as one it follows from where they are.
func (x *machine) keepsBack(m *Member) bool {
	if m.unproved || m.home {
		return false
	}
	return m.sentTo != nil || x.opt.Randomize && !m.back.IsZero() ||
		x.opt.EffectiveAffinity().Kind != address.AffinityPool
}

// keepBack is what a snapshot has of a member that does not call its clients home.
func (m *Member) keepBack() report.BackSnapshot {
	b := report.BackSnapshot{Name: m.Name, Since: m.back}
	if m.sentTo != nil {
		b.SentTo = m.sentTo.Name
	}
	return b
}

// restoreBack makes members that had come back go on as they were: who was moved
// away from them stays away for as long as without the restart. A priority member
// calls its clients home in any case.
func (x *machine) restoreBack(list []report.BackSnapshot, byName map[string]*Member) {
	for _, b := range list {
		m := byName[b.Name]
		if m == nil || m.seen || m.rank >= 0 {
			continue
		}
		m.home, m.back = false, b.Since
		if m.back.After(x.now) {
			m.back = x.now // the clock was set
		}
		if to := byName[b.SentTo]; to != m {
			m.sentTo = to
		}
	}
}

// settleDown keeps clients that are all as one where they are, as a reload of a
// pool that runs does: no member that the new configuration puts before theirs
// calls them, priority members apart.
func (x *machine) settleDown() {
	if x.current == nil || x.opt.EffectiveAffinity().Kind != address.AffinityPool {
		return
	}
	for _, m := range x.members {
		if m != x.current && m.rank < 0 {
			m.home = false
		}
	}
}

// restoreAdded makes members of the addresses that the operator and other sources
// had added.
func (x *machine) restoreAdded(s report.Snapshot) {
	known := make(map[string]bool, len(x.members))
	for _, m := range x.members {
		known[m.Name] = true
	}
	unproved := make(map[string]bool, len(s.Unproved))
	for _, name := range s.Unproved {
		unproved[name] = true
	}
	add := func(u address.URI) *Member {
		m := x.newMember(u)
		m.pushed, m.home = true, true
		if unproved[m.Name] {
			m.unproved, m.state, m.base = true, stateDown, x.now
		}
		known[m.Name] = true
		x.members = append(x.members, m)
		return m
	}
	for _, u := range s.Added {
		if !known[u.Key()] {
			add(u)
		}
	}
	for _, u := range s.Dynamic {
		if x.dynamic && !known[u.Key()] {
			m := add(u)
			m.dynamic, m.named = true, x.now
		}
	}
	for _, n := range membership.Restore(s.Sources).Named() {
		if !known[n.URI.Key()] {
			m := add(n.URI)
			m.sourced = true
			m.restricted = !n.Trusted
		}
	}
}
