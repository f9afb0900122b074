// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"container/list"
	"iter"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// waiter is a request that asks the machine for a member.
type waiter struct {
	r *Request
	// decided gets exactly one decision, whatever happens.
	decided chan decision
	checker Checker       // of r; for the pool's goroutine, and never for the machine
	opinion opinion       // what the checker said last
	place   *list.Element // in the queue; nil when it is not there
	passing bool          // waits for the running pass only: the pool is exhausted
	fresh   bool          // neither waited nor was sent before
	since   time.Time     // it waits
}

// grant is a place on a member, and what goes with it.
type grant struct {
	m     *Member
	moved *Member    // where the client is away from its own member; nil when it is not
	from  *Member    // the client leaves this one with it; nil when it does not
	group *dialGroup // of the member, at that moment
	epoch uint32     // of the member, at that moment
	trial uint32     // the ticket of the member's trial, which one request has at a time; 0 for none
	gate  uint32     // the party with which it passes the gate of the member; 0 for none
	dial  uint8      // dial slot in which the dial is counted already: the next in the queue has to see it
}

// decision is what a request that asks gets: a grant, or the reason why there is none.
type decision struct {
	w *waiter
	grant
	err *report.UnavailableError
}

// queue holds the requests that wait, in order of arrival.
//
// Invariants: a waiter is in the list exactly while its place is not nil, and it is
// decided about when it leaves; passing counts those of the list with passing;
// while the list is empty crowded is false after a step.
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

// add lets a request wait behind the others.
func (q *queue) add(w *waiter) {
	w.place = q.list.PushBack(w)
	if w.passing {
		q.passing++
	}
}

// remove takes a request out, if it is there.
func (q *queue) remove(w *waiter) {
	if w.place == nil {
		return
	}
	q.list.Remove(w.place)
	w.place = nil
	if w.passing {
		q.passing--
	}
}

// all goes through the requests in order; the one at hand may be removed.
func (q *queue) all() iter.Seq[*waiter] {
	return func(yield func(*waiter) bool) {
		for e := q.list.Front(); e != nil; {
			w := e.Value.(*waiter)
			e = e.Next()
			if !yield(w) {
				return
			}
		}
	}
}
