// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

// chooser chooses a member for one request. It lives on the stack of its
// caller.
type chooser struct {
	p      *Pool
	v      *view
	r      *Request
	bucket uint32
	// last also takes members that are offered when nothing else is left: those
	// without flagHeld from 1 on, all from 2 on.
	last int
	// w, when not nil, is a request that asks the machine: what the carrier has said is
	// known already, and members' gates count, unless it is fresh and the member is open.
	w *waiter
	// spare passes over members with limited places: others wait for those.
	spare bool

	// What was seen on the way, for the request that gets nothing.
	full, over bool
	loose      bool // without the rule of twice the mean

	gated bool    // the place taken counts in the member's gate
	trial uint32  // the ticket of the member's trial, if it was taken with it
	moved *Member // where the client is away from its own member; nil when it is not
	from  *Member // which one was not eligible, if the client moves now
}

// choose takes a place on the member that r goes to next, or returns nil.
func (c *chooser) choose() *Member {
	v := c.v
	if len(v.members) == 0 {
		return nil
	}
	c.bucket = v.bucket(c.r)
	if m := c.pass(); m != nil || !c.over {
		return m
	}
	c.loose = true
	return c.pass()
}

func (c *chooser) pass() *Member {
	v, r := c.v, c.r
	if v.forced >= 0 {
		switch c.try(v.forced) {
		case taken:
			return v.members[v.forced]
		case passed:
			return c.others(v.forced, false)
		}
	}
	own, away := c.home()
	c.moved, c.from = nil, nil
	if away >= 0 {
		c.moved = v.members[away]
	}
	if v.trial >= 0 && c.try(v.trial) == taken {
		return v.members[v.trial]
	}
	if away >= 0 {
		// The client's own member may be back for long enough and only lack the
		// request that proves it.
		if v.flags[own]&(flagTrial|flagHome) == flagTrial|flagHome && c.try(own) == taken {
			return v.members[own]
		}
		switch c.try(away) {
		case taken:
			return v.members[away]
		case passed:
			return c.others(away, false)
		}
		if v.affinity == address.AffinityPool {
			return c.others(away, true) // they are one, and move together
		}
		c.forget(v.members[away])
		c.moved = nil
	}
	if v.affinity == address.AffinityRequest && v.randomize && v.prio == 0 {
		// Every request is its own client, so any random order will do, and it
		// is found without scoring the list.
		for t := range uint64(4) {
			own = affinity.Spread(r.Key+t*0x9e3779b97f4a7c15, len(v.members))
			if c.try(own) == taken {
				return v.members[own]
			}
		}
		return c.others(-1, false)
	}
	if m := c.follow(own); m != nil {
		return m
	}
	switch c.try(own) {
	case taken:
		return v.members[own]
	case passed:
		return c.others(own, false)
	default:
		return c.others(own, true)
	}
}

// home is where the client belongs, and where it was moved to if that still
// counts; away is -1 otherwise.
func (c *chooser) home() (own, away int) {
	v, r := c.v, c.r
	if v.affinity == address.AffinityPool && v.current >= 0 {
		own = v.first(c.bucket)
		if v.current != own {
			return own, v.current
		}
		return own, -1
	}
	own, away = v.first(c.bucket), -1
	switch {
	case v.affinity == address.AffinityCookie && r.Home != "":
		if i, ok := v.byName[r.Home]; ok {
			away = i
		}
	case r.Keyed && v.remembers():
		m := c.p.moves.Get(r.Key, c.p.tick.Load())
		if m == nil {
			return own, -1
		}
		if away = v.find(m); away == own || away < 0 || v.recalls(own, away) {
			c.forget(m)
			return own, -1
		}
	}
	if away == own || away >= 0 && v.recalls(own, away) {
		away = -1
	}
	return own, away
}

// recalls reports whether a client on away is called back to its own member, or
// to a priority one that is better than away.
func (v *view) recalls(own, away int) bool {
	const called = flagOpen | flagHome
	for i := range min(v.prio, away) {
		if v.flags[i]&called == called {
			return true
		}
	}
	return v.flags[own]&called == called
}

// others takes the first other member in the client's order. moves says that
// the client moves there, because its own member is not eligible.
func (c *chooser) others(not int, moves bool) *Member {
	v := c.v
	mask := flagOpen | flagTrial | flagSuspect
	if c.last > 0 {
		mask |= flagLast
	}
	w := v.walk(c.bucket)
	for {
		i := w.Next(func(i int) bool { return v.flags[i]&mask != 0 && i != not })
		if i < 0 {
			return nil
		}
		if c.try(i) == taken {
			if moves {
				c.moved, c.from = v.members[i], v.members[not]
			}
			return v.members[i]
		}
	}
}

// follow takes the member that the clients of own were sent to, unless they are
// called elsewhere.
func (c *chooser) follow(own int) *Member {
	if c.v.sent == nil || c.v.sent[own] < 0 {
		return nil
	}
	to := int(c.v.sent[own])
	if c.v.recalls(own, to) || c.try(to) != taken {
		return nil
	}
	c.moved, c.from = c.v.members[to], c.v.members[own]
	return c.moved
}

// forget ends the client's exception.
func (c *chooser) forget(m *Member) {
	if c.r.Keyed && c.v.remembers() && c.p.moves.Drop(c.r.Key, m) {
		c.p.unsaved.Store(true)
	}
}
