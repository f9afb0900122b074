// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"container/list"
	"time"
)

// waiter is a request that asks the machine for a member.
type waiter struct {
	r *Request
	// decided gets exactly one grant, whatever happens.
	decided chan grant
	checker Checker       // of r; for the pool's goroutine, and never for the machine
	opinion opinion       // what the checker said last
	place   *list.Element // in the queue; nil when it is not there
	passing bool          // waits for the running pass only: the pool is exhausted
}

// grant is the machine's decision about a waiter: a member with a place
// reserved on it, or the reason why there is none.
type grant struct {
	m           *Member
	moved, from *Member // of the client: see Attempt
	slot        bool    // the slot of the member was taken with it
	dial        uint8   // the dial is counted already: the next in the queue has to see it
	epoch       uint32
	group       *dialGroup // by the pool, once the decisions of the step are in effect
	err         *UnavailableError
}

// queue holds the requests that wait, in order of arrival.
type queue struct {
	list    *list.List
	passing int // how many wait for the running pass only
	// crowded says that one of them found a member that it would get if that had
	// a place: the pool says when one becomes free.
	crowded bool

	consultAt  time.Time // when the carrier is asked about all of them again
	consulting bool      // it is being asked
	freed      bool      // a place became free since: those are asked about that were told of full members
}

func (q *queue) init()    { q.list = list.New() }
func (q *queue) len() int { return q.list.Len() }

func (x *machine) enqueue(w *waiter) {
	if x.queue.len() == 0 {
		x.queue.consultAt = x.now.Add(askEvery)
	}
	if w.checker != nil && !w.opinion.about(x.view.all) {
		x.queue.consultAt = x.now // the list has just changed
	}
	x.queue.freed = x.queue.freed || w.opinion.full
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
	x.out.grants = append(x.out.grants, decision{w, g})
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
	c := chooser{v: x.view, r: w.r, w: w}
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
	m.gate.used++
	x.decide(w, grant{m: m, moved: c.moved, from: c.from, slot: c.slot, dial: dial, epoch: m.epoch})
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
	x.queue.crowded = false
	inVain := 0
	for e := x.queue.list.Front(); e != nil && inVain < maxInVain && x.hope(); {
		w := e.Value.(*waiter)
		e = e.Next()
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

// gated tells whether somebody waits whom a fresh request would overtake.
func (x *machine) gated() bool {
	return x.queue.len() > 0 && (x.queue.crowded || x.shut())
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
