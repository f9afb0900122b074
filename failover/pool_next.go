// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// maxWritten is to how many members a request may be written in its life.
const maxWritten = 3

// attempt is what the pool keeps of a request.
type attempt struct {
	member *Member // of the present attempt, until its place is free again
	epoch  uint32
	group  *dialGroup
	dial   uint8 // slot in which the pending dial is counted
	// The attempt waits for its connection; its outcome is open; it holds the
	// member's slot; it counts in the member's gate.
	dialing, open, slot, gated bool

	written  [maxWritten]*Member
	nWritten int
	again    *Member // reattachment: may be written to once more
	reused   *Member // has been reattached to
	moved    *Member // where the client is away from its own member
	from     *Member // it left this one with the present attempt
	began    bool
	failed   bool // an attempt has failed
	hung     int
	clocked  bool
	since    time.Time // connectionless from then on; zero while there is a connection
	spent    time.Duration
}

// clock starts the time without a connection of a request that has none yet.
func (a *attempt) clock(now time.Time) {
	if !a.clocked {
		a.clocked, a.since = true, now
	}
}

func (a *attempt) wrote(m *Member) bool {
	return slices.Contains(a.written[:a.nWritten], m)
}

// Next returns the member for the request's next attempt. It waits when none is
// eligible, as far as options, deadline and context allow; the error is an
// *UnavailableError, ErrClientGone or ctx's. Every Next that returned a member
// is followed by exactly one End.
func (p *Pool) Next(ctx context.Context, r *Request) (*Member, error) {
	v := p.view.Load()
	if v.clocked {
		r.at.clock(time.Now())
	}
	if r.at.began || v.gated || v.open == 0 {
		return p.next(ctx, r)
	}
	r.at.began = true
	c := chooser{p: p, v: v, r: r}
	if m := c.choose(); m != nil {
		p.begin(r, m, &c, p.dial(m))
		return m, nil
	}
	return p.wait(ctx, r)
}

// next is Next for a request that is not fresh, or where order matters.
func (p *Pool) next(ctx context.Context, r *Request) (*Member, error) {
	r.at.began = true
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m := r.at.again; m != nil {
		r.at.again = nil
		v := p.view.Load()
		if i := v.find(m); i >= 0 && v.flags[i]&(flagOpen|flagTrial|flagSuspect) != 0 && m.reserve() {
			p.begin(r, m, &chooser{moved: r.at.moved}, p.dial(m))
			return m, nil
		}
	}
	return p.wait(ctx, r)
}

// dial counts a request that has chosen m and is about to dial, and returns the
// slot in which it is counted.
func (p *Pool) dial(m *Member) uint8 {
	slot := uint8(p.tick.Load() % dialSlots)
	m.dials[slot].Add(1)
	return slot
}

// begin notes that r has a place on m, and counts as dialling in that slot.
func (p *Pool) begin(r *Request, m *Member, c *chooser, slot uint8) {
	a := &r.at
	a.member, a.moved, a.from, a.slot, a.gated = m, c.moved, c.from, c.slot, false
	a.epoch, a.group = m.epoch.Load(), m.pending.Load()
	a.open, a.dialing = true, true
	a.dial = slot
	p.inProgress.Add(1)
	if p.idle.Load() && p.idle.CompareAndSwap(true, false) {
		p.feed(inBusy{})
	}
}

// Connected says that the attempt has its connection: time without one
// (option timeout) ends here.
func (p *Pool) Connected(r *Request) {
	a := &r.at
	if !a.dialing {
		return
	}
	a.dialing = false
	a.member.dials[a.dial].Add(-1)
	if !a.since.IsZero() {
		a.spent += time.Since(a.since)
		a.since = time.Time{}
	}
	if a.member.watched.Load() {
		p.feed(inConnected{m: a.member, epoch: a.epoch})
	}
}

// Written says that something of the request may have been written to the
// attempt's member: the member is not eligible for this request any more.
func (p *Pool) Written(r *Request) {
	a := &r.at
	if a.member == nil || a.wrote(a.member) || a.nWritten == maxWritten {
		return
	}
	a.written[a.nWritten] = a.member
	a.nWritten++
}

// End ends the request's attempt. err is shown to users as the member's last error.
func (p *Pool) End(r *Request, o Outcome, err error) {
	a := &r.at
	if !a.open {
		return
	}
	m := a.member
	a.open = false
	if a.dialing {
		a.dialing = false
		m.dials[a.dial].Add(-1)
	}
	if a.slot {
		m.slot.Store(false)
	}
	m.outcomes[o].Add(1)
	if o == Answered {
		if a.from != nil {
			p.move(r)
		}
		if a.gated || a.slot || m.watched.Load() {
			p.feed(inEnd{m: m, outcome: o, epoch: a.epoch, gated: a.gated, slot: a.slot, status: r.Status})
		}
		return
	}
	// Only now, so that a failure is known before anybody gets the free place.
	a.failed = true
	if a.since.IsZero() && (a.clocked || p.view.Load().clocked) {
		a.clocked, a.since = true, time.Now()
	}
	switch o {
	case LostReused:
		if a.reused != m {
			a.again, a.reused = m, m
		}
	case Hung:
		a.hung++
	}
	if a.gated || a.slot || o == DialFailed || o == Lost || m.watched.Load() {
		p.feed(inEnd{m: m, outcome: o, epoch: a.epoch, gated: a.gated, slot: a.slot, failure: note(err)})
	}
	p.free(r)
}

// move remembers where the client of an answered request has been moved to.
func (p *Pool) move(r *Request) {
	v := p.view.Load()
	if v.forced >= 0 {
		return
	}
	i := v.find(r.at.from)
	if v.affinity == address.AffinityPool || i >= 0 && v.flags[i]&flagHome != 0 {
		p.feed(inMoved{from: r.at.from, to: r.at.moved})
	}
	if r.Keyed && v.remembers() && p.moves.put(r.Key, r.at.moved, p.tick.Load()) {
		p.unsaved.Store(true)
	}
}

// Done frees the member's place when the whole exchange is over, response body
// included; for outcomes other than Answered End has done so already.
func (p *Pool) Done(r *Request) {
	if r.at.member != nil && !r.at.open {
		p.free(r)
	}
}

func (p *Pool) free(r *Request) {
	r.at.member.inProgress.Add(-1)
	r.at.member = nil
	p.inProgress.Add(-1)
	if p.places.Load() {
		p.feed(inPlace{})
	}
}

// Abandoned ends when the attempt's dial is not worth waiting for any
// more: the member went down, or hangs while there are others. Whoever still
// waits for a connection ends the attempt with DialAborted and asks Next again.
func (r *Request) Abandoned() context.Context {
	if r.at.group == nil {
		return context.Background()
	}
	return r.at.group.waiting
}

// MovedTo is the Name of the member that the client of this answered request
// has been moved to, or "" when it is on its own: what a cookie has to say.
func (r *Request) MovedTo() string {
	if r.at.moved == nil {
		return ""
	}
	return r.at.moved.Name
}
