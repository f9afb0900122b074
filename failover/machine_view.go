// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

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
			m.index = int32(i)
		}
	}
	v := &view{
		order: x.order, all: x.everyone(), flags: make([]uint8, len(x.order.members)),
		current: -1, forced: -1, trial: -1,
		affinity: x.opt.EffectiveAffinity().Kind,
		poolKey:  affinity.KeyOf(x.pool),
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
			if !better && v.trial < 0 && f&flagTrial != 0 && m.failback.Ready {
				v.trial = i
			}
			better = better || f&(flagOpen|flagHome) == flagOpen|flagHome
		}
	}
	v.sent = x.sent(v)
	if x.forced != nil {
		v.forced = v.at(x.forced)
	}
	if v.affinity == address.AffinityPool {
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
		case x.anyUp():
			f = flagSuspect | flagLast
		default:
			f = flagOpen // there is nowhere else to go
		}
	case stateTrial:
		f = flagLast
		held := x.held(m)
		if held {
			f |= flagHeld
		}
		if !held || m.failback.Ready {
			f |= flagTrial
			if x.now.Sub(m.failback.Trial) >= trialPatience {
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
	next := w.Next(func(i int) bool {
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
		v.current = v.at(x.current)
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
			from.failback.Begin(x.now)
			from.base, from.delay = x.now, tracker.ShortDelay
		}
	}
	if x.current == from && to.serves() {
		x.dirty, x.changed = true, true
		x.current = to
	}
}

// sent says for each member of a view where its clients were sent; nil when
// none were.
func (x *machine) sent(v *view) []int32 {
	var to []int32
	for i, m := range v.members {
		if m.sentTo == nil {
			continue
		}
		at := v.at(m.sentTo)
		if m.home || m.rank >= 0 || at < 0 || !m.sentTo.serves() {
			m.sentTo, x.changed = nil, true
			continue
		}
		if to == nil {
			to = make([]int32, len(v.members))
			for j := range to {
				to[j] = -1
			}
		}
		to[i] = int32(at)
	}
	return to
}
