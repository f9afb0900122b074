// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

func (x *machine) enqueue(w *waiter) {
	if x.queue.len() == 0 {
		x.queue.consultAt = x.now.Add(askEvery)
	}
	if w.checker != nil && !w.opinion.about(x.view.all) {
		x.queue.consultAt = x.now // the list has just changed
	}
	x.queue.freed = x.queue.freed || w.opinion.full
	w.since = x.now
	x.queue.add(w)
}

func (x *machine) decide(d decision) {
	if d.w.place != nil {
		x.outage.Note(x.now.Sub(d.w.since), d.err != nil, d.err != nil && d.err.Reason == 0)
	}
	x.queue.remove(d.w)
	x.out.grants = append(x.out.grants, d)
}

func (x *machine) refuse(w *waiter, reason report.Reason) {
	x.decide(decision{w: w, err: x.unavailable(reason)})
}

// ask decides about a request, or lets it wait.
func (x *machine) ask(w *waiter) {
	x.lastRequest = x.now
	if reason := x.hopeless(w); reason != 0 {
		x.refuse(w, reason)
		return
	}
	room := x.queue.len() < x.opt.MaxWaiting
	if holds := room && x.running && !x.interrupted && x.waitsForPings(w.r); !holds && (!x.view.gated || w.fresh) {
		if placed, _ := x.place(w); placed {
			return
		}
	}
	switch {
	case x.interrupted:
		x.refuse(w, report.ReasonClosed)
		return
	case !room:
		x.refuse(w, report.ReasonTooMany)
		return
	case x.worker.Exhausted:
		if !x.worker.Running {
			if x.now.Sub(x.worker.Started) <= tracker.PassTime {
				x.refuse(w, report.ReasonExhausted)
				return
			}
			x.startPass()
		}
		if !x.worker.Running || x.limit() == 0 {
			x.refuse(w, report.ReasonExhausted)
			return
		}
		w.passing = true
	}
	w.fresh = false
	x.enqueue(w)
}

// place gives the request a member, if there is one now. full says that there
// would be one if it had a place.
func (x *machine) place(w *waiter) (placed, full bool) {
	if !x.anyServes() {
		return false, false
	}
	c := chooser{v: x.view, r: w.r, w: w, spare: w.fresh && x.view.gated}
	m, dial := x.requests.take(&c)
	if m == nil && !x.openFor(w) {
		for c.last = 1; m == nil && c.last <= 2; c.last++ {
			c.loose = false
			m, dial = x.requests.take(&c)
		}
	}
	if m == nil {
		return false, c.full
	}
	g := grant{m: m, moved: c.moved, from: c.from, trial: c.trial, dial: dial, epoch: m.epoch}
	if c.gated {
		g.gate = m.gate.Pass(x.now, w.r.Unread)
	}
	x.decide(decision{w: w, grant: g}) // the pool adds the group, once the step is in effect
	return true, false
}

func (x *machine) anyServes() bool {
	for _, m := range x.members {
		if m.serves() {
			return true
		}
	}
	return false
}

// serve gives members to the requests that wait, in order of arrival.
func (x *machine) serve() {
	x.queue.crowded = false
	inVain := 0
	for w := range x.queue.all() {
		if inVain == maxInVain || !x.hope(false) {
			break
		}
		if w.r.Unread && !x.hope(true) || x.waitsForPings(w.r) {
			continue
		}
		if _, full := x.place(w); full {
			x.queue.crowded = true
			inVain++
		}
	}
	x.queue.crowded = x.queue.len() > 0 && (x.queue.crowded || x.full())
	if x.gated() != x.view.gated {
		x.dirty = true
	}
}

// gated reports whether a request waits that a fresh one would overtake.
func (x *machine) gated() bool {
	return x.queue.len() > 0 && (x.queue.crowded || x.shut())
}

// maxInVain is how many requests are told in a row that all is full before the
// rest is not asked: with a long queue that would be most of the work.
const maxInVain = 16

// hope reports whether some member has a place for one that waits, with a body on
// its way or without.
func (x *machine) hope(body bool) bool {
	for _, m := range x.members {
		if m.serves() && m.gate.Free(body) && !m.isFull() {
			return true
		}
	}
	return false
}

// full reports whether some member has no place left.
func (x *machine) full() bool {
	for _, m := range x.members {
		if m.serves() && m.isFull() {
			return true
		}
	}
	return false
}

// shut reports whether a gate keeps a request waiting. That of a member that is up
// keeps out no fresh one.
func (x *machine) shut() (shut bool) {
	for _, m := range x.members {
		if m.serves() && m.state == stateUp {
			return false
		}
		shut = shut || m.serves() && !m.gate.Free(false)
	}
	return shut
}

// sortOut refuses the requests that the new state leaves no hope.
func (x *machine) sortOut() {
	for w := range x.queue.all() {
		if reason := x.hopeless(w); reason != 0 {
			x.refuse(w, reason)
		}
	}
}

// passFailed ends the waiting of those that waited for one pass.
func (x *machine) passFailed() {
	for w := range x.queue.all() {
		if x.queue.passing == 0 {
			return
		}
		if w.passing {
			x.refuse(w, report.ReasonExhausted)
		}
	}
}

func (x *machine) refuseAll(reason report.Reason) {
	for w := range x.queue.all() {
		x.refuse(w, reason)
	}
}

// leave takes a request out of the queue, unless it was decided about already.
// The reason is 0 when it is the request that does not want any more.
func (x *machine) leave(w *waiter, reason report.Reason) {
	if w.place != nil {
		x.refuse(w, reason)
	}
}

// interrupt ends all waiting, now and later.
func (x *machine) interrupt() {
	x.interrupted = true
	x.warmFor = nil
	x.refuseAll(report.ReasonClosed)
}
