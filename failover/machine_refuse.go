// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// hopeless says why waiting will never help a request.
func (x *machine) hopeless(w *waiter) report.Reason {
	r := w.r
	switch {
	case x.allDrained():
		return report.ReasonDrained
	case r.lost && x.noFailover():
		return report.ReasonNoFailover
	case r.Spent() || r.hung > 1:
		return report.ReasonSpent
	case x.incriminated(r):
		return report.ReasonSpent
	case x.allForeign(w):
		return report.ReasonForeign
	case r.writes == 0 && r.losses == nil:
		return 0
	}
	up := false
	for _, m := range x.members {
		if m.drained || m.unproved || r.barred(m) {
			up = up || m.serves() && m.state == stateUp && !m.verifying && !m.owed
			continue
		}
		if m.serves() {
			return 0
		}
	}
	if up || !x.untried(r) {
		// The pool works, and for this request there is none left.
		return report.ReasonSpent
	}
	return 0
}

// allForeign reports whether there are members, and the carrier can reach none of
// them for this request. It knows no others, so waiting cannot help.
func (x *machine) allForeign(w *waiter) bool {
	if w.checker == nil {
		return false
	}
	for _, m := range x.members {
		if w.says(m) != report.Foreign {
			return false
		}
	}
	return len(x.members) > 0
}

// untried reports whether there is a member that the request was not written to. It
// may be down, or have been added and not answered yet: it may come.
func (x *machine) untried(r *Request) bool {
	for _, m := range x.members {
		if !m.drained && !r.barred(m) {
			return true
		}
	}
	return false
}

// openFor reports whether some member may be chosen like any other, also if it
// has no place just now.
func (x *machine) openFor(w *waiter) bool {
	for i, m := range x.view.members {
		if x.view.flags[i]&flagOpen != 0 && !w.r.barred(m) && w.says(m) < report.Unhealthy {
			return true
		}
	}
	return false
}

// unavailable is the error of a request that gets no member. RetryAfter is one
// wait of the worker; the carrier spreads the clients.
func (x *machine) unavailable(reason report.Reason) *report.UnavailableError {
	wait := time.Duration(0)
	if x.worker.Active {
		wait = x.capped(x.worker.Delay)
	}
	after := max((wait + time.Second - 1).Truncate(time.Second), time.Second)
	e := &report.UnavailableError{Pool: x.pool, Reason: reason, RetryAfter: after}
	if reason != report.ReasonDrained && reason != report.ReasonClosed && x.lastErr != nil {
		e.Last = x.lastErr.Err
	}
	return e
}
