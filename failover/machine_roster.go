// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// dynamicFor is how long an address stays that the dynamic source names no more:
// its lists may differ from one request to the next.
const dynamicFor = 10 * time.Minute

// pushSpacing is the time between the first pings of addresses that came with
// one list, beyond the first few: a long list must not disturb what serves.
const (
	pushSpacing = 10 * time.Millisecond
	pushAtOnce  = 16
)

// addAll adds addresses of the operator's.
func (x *machine) addAll(uris []address.URI, rebalance bool) (added int, err error) {
	if err := x.schemesFit(uris); err != nil {
		return 0, err
	}
	for _, u := range uris {
		x.removed = slices.DeleteFunc(x.removed, func(r address.URI) bool { return r.Key() == u.Key() })
		if m := x.find(u); m != nil {
			m.sourced, m.dynamic, m.restricted = false, false, false // now it is the operator's
			continue
		}
		x.add(u)
		added++
	}
	if added > 0 {
		x.rank(x.opt)
		x.passSoon()
		if rebalance && x.opt.RebalanceUpdateURIs {
			x.rebalance()
		}
	}
	return added, nil
}

// schemesFit returns an error unless new addresses have the scheme of the members.
func (x *machine) schemesFit(uris []address.URI) error {
	for _, u := range uris {
		if len(x.members) > 0 && u.Scheme != x.members[0].URI.Scheme &&
			u.Scheme != address.SchemeUnix && x.members[0].URI.Scheme != address.SchemeUnix {
			return fmt.Errorf("adding %s to pool %s: %w", u.Name(), address.Quote(x.pool), address.SchemeMismatch(x.members[0].URI, u))
		}
	}
	return nil
}

// add makes an address a member that has to answer a ping first.
func (x *machine) add(u address.URI) *Member {
	m := x.newMember(u)
	m.pushed, m.unproved, m.state, m.home = true, true, stateDown, true
	m.base = x.now
	x.members = append(x.members, m)
	x.fitSamples()
	x.member("added", m)
	return m
}

// removeAll removes addresses for the operator: none, unless one is left.
func (x *machine) removeAll(uris []address.URI) (removed int, err error) {
	leave := make(map[*Member]bool)
	for _, u := range uris {
		m, err := x.known(u)
		if err != nil {
			return 0, err
		}
		leave[m] = true
		if len(leave) == len(x.members) {
			return 0, fmt.Errorf("removing %s from pool %s: %w", m.Name, address.Quote(x.pool), ErrLast)
		}
	}
	for _, m := range slices.Clone(x.members) {
		if !leave[m] {
			continue
		}
		if !m.pushed || m.sourced || m.dynamic {
			x.removed = append(x.removed, m.URI)
		}
		x.unlist(m)
		x.rank(x.opt)
		removed++
	}
	return removed, nil
}

// unlist removes a member. Its requests in progress go on.
func (x *machine) unlist(m *Member) {
	x.members = slices.DeleteFunc(x.members, func(o *Member) bool { return o == m })
	x.retire(m)
	x.member("removed", m)
}

// discover takes a list of the dynamic source.
func (x *machine) discover(uris []address.URI) (added, removed int, err error) {
	if !x.dynamic {
		return 0, 0, nil
	}
	if err := x.schemesFit(uris); err != nil {
		return 0, 0, err
	}
	for _, u := range x.discovered(uris) {
		m := x.find(u)
		if m == nil {
			m = x.add(u)
			m.dynamic = true
			added++
		}
		if m.sourced {
			m.sourced, m.dynamic, m.restricted = false, true, false
		}
		m.named = x.now
	}
	for _, m := range slices.Clone(x.members) {
		if m.dynamic && x.now.Sub(m.named) >= dynamicFor && len(x.members) > 1 && !x.handOver(m) {
			x.unlist(m)
			removed++
		}
	}
	if added+removed > 0 {
		x.rank(x.opt)
		x.fitSamples()
	}
	if added > 0 {
		x.passSoon()
	}
	return added, removed, nil
}

// update makes what sources name members.
func (x *machine) update(in inUpdate) (added, removed int, err error) {
	named := in.named
	if len(named) > address.MaxListAddresses {
		return 0, 0, ErrTooMany
	}
	if n := named; len(n) > 0 && len(x.members) > 0 {
		if have := x.members[0].URI; have.Scheme != n[0].URI.Scheme && have.Scheme != address.SchemeUnix && n[0].URI.Scheme != address.SchemeUnix {
			return 0, 0, address.SchemeMismatch(have, n[0].URI)
		}
	}
	byKey := make(map[string]*Member, len(x.members))
	for _, m := range x.members {
		byKey[m.Name] = m
	}
	away := make(map[string]bool, len(x.removed))
	for _, u := range x.removed {
		away[u.Key()] = true
	}
	wanted := make(map[string]bool, len(named))
	for _, n := range named {
		key := n.URI.Key()
		wanted[key] = true
		m := byKey[key]
		if m == nil && !away[key] {
			x.push(n, added)
			added++
		} else if m != nil && m.sourced {
			m.restricted = !n.Trusted
		}
	}
	for _, m := range slices.Clone(x.members) {
		if m.sourced && !wanted[m.Name] && len(x.members) > 1 {
			x.unlist(m)
			removed++
		}
	}
	if added+removed > 0 {
		x.rank(x.opt)
		x.fitSamples()
		x.dirty = true
	}
	if added > 0 {
		x.worker.Soon(x.now) // the first pings of a long list are spaced all the same while others serve
	}
	x.said, x.changed = in.said, true
	if in.rebalance && added+removed > 0 {
		x.rebalance()
	}
	return added, removed, nil
}

// push adds an address that a source named. place is its place among those that
// came together.
func (x *machine) push(n membership.Named, place int) {
	m := x.newMember(n.URI)
	m.pushed, m.sourced, m.unproved, m.state, m.home = true, true, true, stateDown, true
	m.restricted = !n.Trusted
	m.base = x.now.Add(time.Duration(max(place-pushAtOnce, 0)) * pushSpacing)
	x.members = append(x.members, m)
	x.member("added", m)
}
