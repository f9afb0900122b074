// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "github.com/caddy-broker/caddy-broker/failover/report"

// maxPendingDials is how many requests may dial a member whose dials hang, when
// there is no other.
const maxPendingDials = 16

// overflowFrom is the number of requests in progress from which a member may
// pass new ones on for having more than twice the mean.
const overflowFrom = 32

// verdict is what became of one member while choosing.
type verdict uint8

const (
	refused verdict = iota // not eligible: a client whose member it is moves
	passed                 // not now: passed over, no client moves
	taken
)

// try takes a place on one member, if it is eligible for this request.
func (c *chooser) try(i int) verdict {
	v, r := c.v, c.r
	m, f := v.members[i], v.flags[i]
	if f == 0 {
		return refused
	}
	if r.barred(m) {
		return passed // a single loss moves no client
	}
	trial := false
	switch {
	case f&flagOpen != 0:
	case c.last > 0 && (f&flagHeld == 0 || c.last > 1) && (f&flagSlow == 0 || m.dialing() < maxPendingDials):
	case f&flagSuspect != 0 && r.Safe: // it can go on to another one
	case f&flagTrial != 0 && (r.Safe && !r.Unread || f&flagAny != 0):
		trial = true
	case f&(flagSlow|flagTrial|flagSuspect) != 0:
		return passed
	default:
		return refused
	}
	said := report.Available
	if c.w != nil {
		said = c.w.says(m)
	} else if r.Checker != nil {
		said = r.Checker.Check(m)
	}
	switch said {
	case report.Available:
	case report.Full:
		c.full = true
		return passed
	case report.Foreign, unasked:
		return passed // nothing is wrong with it
	default:
		return refused
	}
	if v.overflow && !c.loose && i >= v.prio {
		if n := m.inProgress.Load(); n > overflowFrom && n*int64(v.open) > 2*c.p.inProgress.Load() {
			c.over = true
			return passed
		}
	}
	gated := c.w != nil && (!c.w.fresh || f&flagOpen == 0)
	if gated && !m.gate.Free(r.Unread) {
		return passed
	}
	if c.spare && m.shown.maxRequests.Load() > 0 {
		return passed
	}
	var ticket uint32
	if trial {
		if ticket = m.trial.Take(c.p.age(), r.Client); ticket == 0 {
			return passed
		}
	}
	if !m.reserve() {
		m.trial.Leave(ticket)
		c.full = true
		return passed
	}
	c.trial, c.gated = ticket, gated
	return taken
}
