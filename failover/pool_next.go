// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"time"
)

// Next returns the request's next attempt. It waits when no member is eligible, as
// far as options, deadline and context allow; the error is an *UnavailableError,
// ErrClientGone or ctx's. Every Next that returned an attempt is followed by
// exactly one End of it.
func (p *Pool) Next(ctx context.Context, r *Request) (*Attempt, error) {
	v := p.view.Load()
	if v.clocked {
		r.clock(time.Now())
	}
	if r.began || v.gated || v.open == 0 {
		return p.next(ctx, r)
	}
	r.began = true
	c := chooser{p: p, v: v, r: r}
	if m := c.choose(); m != nil {
		a := p.begin(r)
		p.place(&a.grant, m)
		a.moved, a.from, a.trial = c.moved, c.from, c.trial
		return a, nil
	}
	return p.wait(ctx, r)
}

// next is Next for a request that is not fresh, or where order matters.
func (p *Pool) next(ctx context.Context, r *Request) (*Attempt, error) {
	r.began = true
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if again := r.again; again != nil && again == r.at {
		v, m := p.view.Load(), again.m
		if i := v.find(m); i >= 0 && v.flags[i]&(flagOpen|flagTrial|flagSuspect) != 0 && m.reserve() {
			a := p.begin(r)
			p.place(&a.grant, m)
			a.moved = again.moved
			return a, nil
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

// place fills in a place on m that a request has taken by itself.
func (p *Pool) place(g *grant, m *Member) {
	g.m, g.dial, g.epoch, g.group = m, p.dial(m), m.shown.epoch.Load(), m.shown.pending.Load()
}

// begin is the attempt of a request that has a place. Its grant is filled in where it
// lies: to copy one that was just written, field by field, takes longer than to write it.
func (p *Pool) begin(r *Request) *Attempt {
	a := &r.first
	if r.at != nil {
		a = new(Attempt)
	}
	r.at = a
	a.pool, a.request, a.phase = p, r, phaseDialing
	p.inProgress.Add(1)
	if p.idle.Load() && p.idle.CompareAndSwap(true, false) {
		p.feed(inBusy{})
	}
	return a
}
