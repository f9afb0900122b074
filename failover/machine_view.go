// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "slices"

// configure takes the options and configured addresses of a configuration.
// Members that stay keep what is known of them; new ones are eligible from the
// start; those that are gone keep their requests in progress and get no new ones.
func (x *machine) configure(cfg Config) {
	x.opt, x.back, x.dirty = cfg.Options, newBackoff(cfg.Options), true
	uris := slices.DeleteFunc(slices.Clone(cfg.URIs), func(u URI) bool {
		return slices.ContainsFunc(x.removed, func(r URI) bool { return r.Key() == u.Key() })
	})
	if x.opt.PriorityBackup {
		for _, u := range x.opt.PriorityURIs {
			if !slices.ContainsFunc(uris, func(o URI) bool { return o.Key() == u.Key() }) {
				uris = append(uris, u)
			}
		}
	}
	if len(uris) == 0 {
		uris = slices.Clone(cfg.URIs) // a pool never ends up without addresses
	}
	old := x.members
	x.members = make([]*Member, 0, len(uris))
	for _, u := range uris {
		if x.find(u) != nil {
			continue
		}
		var m *Member
		for _, o := range old {
			if o.URI.Key() == u.Key() {
				m = o
			}
		}
		if m == nil {
			m = x.newMember(u)
			m.home = x.calls(m)
		}
		m.pushed = false
		m.setLimits(limitsOf(u.Options, x.opt.Nested))
		x.members = append(x.members, m)
	}
	for _, m := range old {
		if x.find(m.URI) != nil {
			continue
		}
		if m.pushed {
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
	x.sampler.configure(x.members)
}

func (x *machine) newMember(u URI) *Member {
	m := newMember(u)
	m.node = node{since: x.now, gate: newGate(), rank: -1}
	m.setLimits(limitsOf(u.Options, x.opt.Nested))
	return m
}

// retire forgets a member that is no longer in the list.
func (x *machine) retire(m *Member) {
	m.index.Store(-1)
	m.inPass = false
	x.abandon(m)
	if x.forced == m {
		x.forced = nil
	}
	if x.current == m {
		x.current = nil
	}
	x.p.moves.dropIf(func(_ uint64, to *Member) bool { return to == m })
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

// publish makes the view that requests choose by.
func (x *machine) publish() {
	x.dirty = false
	var priority, rest []*Member
	for _, m := range x.members {
		switch {
		case m.unproved:
		case m.rank >= 0:
			priority = append(priority, m)
		default:
			rest = append(rest, m)
		}
	}
	slices.SortFunc(priority, func(a, b *Member) int { return a.rank - b.rank })
	if o := newOrder(priority, rest, x.opt.Randomize); !x.order.equal(o) {
		o.finish()
		x.order = o
		for i, m := range o.members {
			m.index.Store(int32(i))
		}
	}
	v := &view{
		order: x.order, flags: make([]uint8, len(x.order.members)),
		current: -1, forced: -1, trial: -1,
		affinity: x.opt.EffectiveAffinity().Kind,
		poolKey:  KeyOf(x.name),
		gated:    x.gated(),
		timeout:  x.opt.Timeout,
		clocked:  x.opt.Timeout >= 0,
	}
	if !x.reached && !x.opt.TimeoutSet && !x.opt.StartupMaxReconnectAttemptsSet {
		v.timeout, v.clocked = firstWait, true
	}
	v.overflow = x.opt.Randomize && v.remembers()
	better := false
	for i, m := range v.members {
		f := x.flags(m)
		v.flags[i] = f
		if f&flagOpen != 0 {
			v.open++
		}
		if i < v.prio {
			if !better && v.trial < 0 && f&flagTrial != 0 && m.failback.ready {
				v.trial = i
			}
			better = better || f&(flagOpen|flagHome) == flagOpen|flagHome
		}
	}
	v.sent = x.sent(v)
	if x.forced != nil {
		v.forced = v.find(x.forced)
	}
	if v.affinity == AffinityPool {
		x.gather(v)
	}
	x.view = v
}

// flags is what the view says of a member.
func (x *machine) flags(m *Member) (f uint8) {
	if !m.serves() {
		return 0
	}
	switch m.state {
	case stateUp:
		f = flagOpen
	case stateSuspect:
		switch {
		case m.slow:
			f = flagSlow | flagLast
		case m.cleared:
			f = flagOpen
		default:
			f = flagSuspect | flagLast
		}
	case stateTrial:
		f = flagLast
		held := x.held(m)
		if held {
			f |= flagHeld
		}
		if !held || m.failback.ready {
			f |= flagTrial
			if x.now.Sub(m.failback.trial) >= trialPatience {
				f |= flagAny
			}
		}
	}
	if m.home {
		f |= flagHome
	}
	return f
}

// gather says where all clients are when they are as one: they stay where they
// are until that breaks, or until a member earlier in the order calls them home.
func (x *machine) gather(v *view) {
	stays := x.current != nil && x.current.serves() && !x.held(x.current)
	w := v.walk(v.bucket(nil))
	next := w.next(func(i int) bool {
		if stays {
			return v.flags[i]&(flagOpen|flagHome) == flagOpen|flagHome || v.members[i] == x.current
		}
		return v.flags[i]&(flagOpen|flagTrial) != 0
	})
	if next >= 0 && x.current != v.members[next] {
		x.current = v.members[next]
		x.changed = true
	}
	if x.current != nil {
		v.current = v.find(x.current)
	}
}

// moved notes that a client left a member which, as far as the pool knows, is
// all right: the carrier's checks say otherwise. It comes back like one that was
// down.
func (x *machine) moved(from, to *Member) {
	if from.serves() && from.home {
		x.dirty, x.changed = true, true
		from.home, from.back = false, x.now
		if from.rank >= 0 {
			x.set(from, stateTrial)
			from.failback.begin(x.now)
			from.base, from.delay = x.now, shortDelay
		}
	}
	if x.current == from && to.serves() {
		x.dirty, x.changed = true, true
		x.current = to
	}
}
