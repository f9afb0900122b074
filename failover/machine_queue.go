// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "container/list"

// waiter is a request that asks the machine for a member.
type waiter struct {
	r *Request
	// decided gets exactly one grant, whatever happens.
	decided chan grant
	place   *list.Element // in the queue; nil when it is not there
	passing bool          // waits for the running pass only: the pool is exhausted
}

// grant is the machine's decision about a waiter: a member with a place
// reserved on it, or the reason why there is none.
type grant struct {
	m     *Member
	c     chooser
	dial  uint8
	epoch uint32
	group *dialGroup
	err   *UnavailableError
}

// queue holds the requests that wait, in order of arrival.
type queue struct {
	list    *list.List
	passing int // how many wait for the running pass only
}

func (q *queue) init()    { q.list = list.New() }
func (q *queue) len() int { return q.list.Len() }

func (x *machine) enqueue(w *waiter) {
	w.place = x.queue.list.PushBack(w)
	if w.passing {
		x.queue.passing++
	}
}

func (x *machine) decide(w *waiter, g grant) {
	if w.place != nil {
		x.queue.list.Remove(w.place)
		w.place = nil
		if w.passing {
			x.queue.passing--
		}
	}
	w.decided <- g
}

func (x *machine) refuse(w *waiter, reason Reason) {
	x.decide(w, grant{err: x.unavailable(reason)})
}

// ask decides about a request, or lets it wait.
func (x *machine) ask(w *waiter) {
	x.lastRequest = x.now
	if reason := x.hopeless(w); reason != 0 {
		x.refuse(w, reason)
		return
	}
	if !x.view.gated {
		if placed, _ := x.place(w); placed {
			return
		}
	}
	switch {
	case x.interrupted:
		x.refuse(w, ReasonClosed)
		return
	case x.queue.len() >= x.opt.MaxWaiting:
		x.refuse(w, ReasonTooMany)
		return
	case x.worker.exhausted:
		if !x.worker.running {
			if x.now.Sub(x.worker.started) <= passTime {
				x.refuse(w, ReasonExhausted)
				return
			}
			x.startPass()
		}
		if !x.worker.running || x.limit() == 0 {
			x.refuse(w, ReasonExhausted)
			return
		}
		w.passing = true
	}
	x.enqueue(w)
}

// place gives the request a member, if there is one now. full tells that there
// would be one if it had a place.
func (x *machine) place(w *waiter) (placed, full bool) {
	if !x.anyServes() {
		return false, false
	}
	c := chooser{p: x.p, v: x.view, r: w.r, gate: func(m *Member) bool { return m.gate.free() }}
	m := c.choose()
	if m == nil && c.full && !x.p.places.Swap(true) {
		m = c.choose() // a place may have become free just before that was known
	}
	if m == nil && !x.openFor(w.r) {
		for c.last = 1; m == nil && c.last <= 2; c.last++ {
			c.loose = false
			m = c.choose()
		}
	}
	if m == nil {
		return false, c.full
	}
	m.gate.used++
	// The dial is counted here already: the next one in the queue has to see it.
	x.decide(w, grant{m: m, c: c, dial: x.p.dial(m), epoch: m.epoch.Load(), group: m.pending.Load()})
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

// serve gives members to those who wait, in order of arrival.
func (x *machine) serve() {
	x.p.places.Store(false)
	inVain := 0
	for e := x.queue.list.Front(); e != nil && inVain < maxInVain && x.hope(); {
		w := e.Value.(*waiter)
		e = e.Next()
		if _, full := x.place(w); full {
			inVain++
		}
	}
	if x.queue.len() > 0 && x.full() {
		x.p.places.Store(true)
	}
	if x.gated() != x.view.gated {
		x.dirty = true
	}
}

// gated tells whether somebody waits whom a fresh request would overtake.
func (x *machine) gated() bool {
	return x.queue.len() > 0 && (x.p.places.Load() || x.shut())
}

// maxInVain is how many requests are told in a row that all is full before the
// rest is not asked: with a long queue that would be most of the work.
const maxInVain = 16

// hope tells whether some member has a place for one that waits.
func (x *machine) hope() bool {
	for _, m := range x.members {
		if m.serves() && m.gate.free() && !m.isFull() {
			return true
		}
	}
	return false
}

// full tells whether some member has no place left.
func (x *machine) full() bool {
	for _, m := range x.members {
		if m.serves() && m.isFull() {
			return true
		}
	}
	return false
}

// shut tells whether the gate keeps somebody waiting.
func (x *machine) shut() bool {
	for _, m := range x.members {
		if m.serves() && !m.gate.free() {
			return true
		}
	}
	return false
}

// sortOut refuses those whom the new state leaves no hope.
func (x *machine) sortOut() {
	for e := x.queue.list.Front(); e != nil; {
		w := e.Value.(*waiter)
		e = e.Next()
		if reason := x.hopeless(w); reason != 0 {
			x.refuse(w, reason)
		}
	}
}

// passFailed ends the waiting of those that waited for one pass.
func (x *machine) passFailed() {
	for e := x.queue.list.Front(); e != nil && x.queue.passing > 0; {
		w := e.Value.(*waiter)
		e = e.Next()
		if w.passing {
			x.refuse(w, ReasonExhausted)
		}
	}
}

func (x *machine) refuseAll(reason Reason) {
	for e := x.queue.list.Front(); e != nil; e = x.queue.list.Front() {
		x.refuse(e.Value.(*waiter), reason)
	}
}

// leave takes a request out of the queue, unless it was decided about already.
// The reason is 0 when it is the request that does not want any more.
func (x *machine) leave(w *waiter, reason Reason) {
	if w.place != nil {
		x.refuse(w, reason)
	}
}

// interrupt ends all waiting, now and later.
func (x *machine) interrupt() {
	x.interrupted = true
	x.warmFor = nil
	x.refuseAll(ReasonClosed)
}
