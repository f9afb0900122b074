// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"cmp"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// askEvery is how often the carrier is asked again about the requests that wait, whether a
// member is healthy or has a place.
const askEvery = 250 * time.Millisecond

// opinion is what the carrier said of the members for one request. The machine
// decides by it about requests that wait: it never asks the carrier itself, because
// the pool is locked then.
type opinion struct {
	members []*Member // by serial; shared with a view
	says    []report.Availability
	full    bool // some are Full
}

// unasked is said of a member that has joined since the carrier was asked. It gets
// no request before.
const unasked report.Availability = 255

// form asks the carrier about members. The pool is not locked.
func form(c Checker, members []*Member) (o opinion) {
	if c == nil {
		return o
	}
	o.members, o.says = members, make([]report.Availability, len(members))
	for i, m := range members {
		o.says[i] = c.Check(m)
		o.full = o.full || o.says[i] == report.Full
	}
	return o
}

// about reports whether the carrier was asked about that list.
func (o opinion) about(members []*Member) bool { return slices.Equal(o.members, members) }

// says is what the carrier said of a member for this request.
func (w *waiter) says(m *Member) report.Availability {
	if w.checker == nil {
		return report.Available
	}
	i, known := slices.BinarySearchFunc(w.opinion.members, m.serial, func(m *Member, serial uint64) int {
		return cmp.Compare(m.serial, serial)
	})
	if !known {
		return unasked
	}
	return w.opinion.says[i]
}

// consultation is a question to the carrier about one request, and the answer.
type consultation struct {
	w       *waiter
	checker Checker
	opinion opinion
}

// consult has the carrier asked about the requests that wait: about all of them from time
// to time, and about the first few that were told of full members when a place
// became free.
func (x *machine) consult() {
	q := &x.queue
	due := !x.now.Before(q.consultAt)
	if q.len() == 0 || q.consulting || !due && !q.freed {
		return
	}
	q.freed = false
	if due {
		q.consultAt = x.now.Add(askEvery)
	}
	var asked []consultation
	n := 0
	for w := range q.all() {
		if n++; !due && n > maxInVain {
			break
		}
		if w.checker != nil && (due || w.opinion.full) {
			asked = append(asked, consultation{w: w, checker: w.checker})
		}
	}
	if len(asked) > 0 {
		q.consulting = true
		x.do(actConsult{asked, x.view.all})
	}
}

// consulted notes what the carrier said.
func (x *machine) consulted(asked []consultation) {
	x.queue.consulting = false
	for _, a := range asked {
		if a.w.place == nil {
			continue // decided about meanwhile
		}
		a.w.opinion = a.opinion
		if reason := x.hopeless(a.w); reason != 0 {
			x.refuse(a.w, reason)
		}
	}
}

// unask forgets what was said of the requests that wait, and has the carrier asked anew: it
// may be another one.
func (x *machine) unask() {
	for w := range x.queue.all() {
		w.opinion = opinion{}
	}
	x.queue.consultAt = x.now
}

// everyone are all members by serial. The list is that of the view before if it has
// not changed.
func (x *machine) everyone() []*Member {
	all := slices.SortedFunc(slices.Values(x.members), func(a, b *Member) int { return cmp.Compare(a.serial, b.serial) })
	if x.view != nil && slices.Equal(all, x.view.all) {
		return x.view.all
	}
	x.queue.consultAt = x.now // about those that are new
	return all
}
