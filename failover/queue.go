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
	// decided gets exactly one grant, whatever happens.
	decided chan grant
	checker Checker       // of r; for the pool's goroutine, and never for the machine
	opinion opinion       // what the checker said last
	place   *list.Element // in the queue; nil when it is not there
	passing bool          // waits for the running pass only: the pool is exhausted
	fresh   bool          // neither waited nor was sent before
}

// grant is the machine's decision about a waiter: a member with a place
// reserved on it, or the reason why there is none.
type grant struct {
	m           *Member
	moved, from *Member // of the client: see Attempt
	trial       uint32  // the ticket of the member's trial, if it was taken with it
	gate        uint32  // the party with which it passes the member's gate; 0 for none
	body        bool    // and that it had a body on its way then
	dial        uint8   // the dial is counted already: the next in the queue has to see it
	epoch       uint32
	group       *dialGroup // by the pool, once the decisions of the step are in effect
	err         *report.UnavailableError
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
