// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// loss is that of a request by one member.
type loss struct {
	m       *Member
	epoch   uint32 // of the member, when the attempt began
	client  uint32 // whose request may be the reason; 0 when that is not known
	asked   uint64 // pings of the member that had been asked for when it was heard of
	alive   bool   // the member has shown with it that it lives
	failure *report.Failure
}

// losses are those of one request, in order.
type losses []loss

// at counts those of a member in its present life.
func (l losses) at(m *Member) (n int) {
	epoch := m.shown.epoch.Load()
	for _, o := range l {
		if o.epoch == epoch && same(o.m, m) {
			n++
		}
	}
	return n
}

// members counts the members of those for which f is true.
func (l losses) members(f func(l *loss) bool) (n int) {
	for i := range l {
		if f(&l[i]) && !slices.ContainsFunc(l[:i], func(o loss) bool { return same(o.m, l[i].m) && f(&o) }) {
			n++
		}
	}
	return n
}

// lives reports whether the member has shown since the loss that it lives.
func (l *loss) lives() bool {
	return l.alive || l.m.epoch == l.epoch && !l.m.gone && l.m.vouched > l.asked
}

// open reports whether a ping will tell.
func (l *loss) open() bool {
	return l.m.epoch == l.epoch && !l.m.gone && (l.m.verifying || l.m.owed)
}

// last is the last one; there is one.
func (l losses) last() *loss { return &l[len(l)-1] }

// lose notes that an attempt was lost.
func (r *Request) lose(a *Attempt, o report.Outcome, f *report.Failure) {
	l := loss{m: a.m, epoch: a.epoch, alive: o == report.StreamReset, failure: f}
	if !a.Shared {
		l.client = r.Client
	}
	r.losses = append(r.losses, l)
}

// blames is the loss for which a member is to blame, now that another one has
// answered the request; nil where there is none. If two have lost it, it is the request.
func (r *Request) blames() *loss {
	if !r.Safe || r.losses.members(func(*loss) bool { return true }) != 1 || r.losses.last().alive {
		return nil
	}
	return r.losses.last()
}
