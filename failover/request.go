// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// MaxWrites is how often a request is written in its life, whether to one member
// or to several. Only the one write that makes up for a stale connection of a
// member (LostReused) may come on top, and only to that member.
const MaxWrites = 3

// Request is one client request on its way through a pool: what the carrier says
// of it, and the history of its attempts. The carrier keeps it for the request's
// whole life, and does not copy it; it is not for concurrent use. The zero value
// with Key and Checker set is ready.
type Request struct {
	// Key is the client's affinity key, hashed by KeyOf; 0 is a key like others.
	Key uint64
	// Home, when not empty, is the Name of the member that the client's cookie
	// says it was moved to.
	Home string
	// Checker is the carrier's opinion of members; nil means all are available.
	Checker Checker
	// Deadline, when not zero, is when the carrier itself gives up (lb_try_duration).
	Deadline time.Time
	// Present, when not nil, is asked while the request waits whether its client
	// is still there (HTTP/1.1 with an unread body). It must not block.
	Present func() bool
	// Keyed says that the key came in with the request (client_ip, cookie,
	// header), so that an exception may be stored for it.
	Keyed bool
	// Safe says that the method is GET, HEAD, OPTIONS or TRACE: such a request
	// may be the trial of a member that came back.
	Safe bool
	// Unread says that the request has a body that its client may still be sending. How long
	// that takes is the client's choice, so that it is no trial. It stays as it is from
	// Next to End.
	Unread bool
	// Client is who sent the request, hashed; 0 when that is not known. Unlike Key it
	// is not for the client to choose: what one client's requests meet with is no
	// reason to move others.
	Client uint32

	history
}

// history is what earlier attempts of a request leave to later ones.
//
// Invariants: to has each address once, and no more than MaxWrites; writes exceeds
// MaxWrites by one at most; again is nil once something was written to its member
// after it; since is zero while the request has a connection.
type history struct {
	began   bool  // has asked for a member before
	lost    bool  // an attempt has failed
	clocked bool  // the time without a connection counts
	writes  uint8 // attempts of which something may have been written
	hung    uint8 // attempts that a hang verdict ended

	first Attempt            // room for the first attempt, so that most requests need no other
	at    *Attempt           // the last one; nil before the first
	to    [MaxWrites]*Member // the members that it was written to

	again  *Attempt // to be made up for: its member may be written to once more, whenever it is there
	reused *Member  // the last one for which that was so
	losses losses

	since time.Time     // without a connection from then on
	spent time.Duration // without one before that
}

// Spent reports whether the request was written as often as it may be.
func (r *Request) Spent() bool { return r.writes >= MaxWrites && r.again == nil }

// same reports whether two members are one backend. An address that is removed and
// added again is another member: what was written there was written to the same
// backend all the same.
func same(m, o *Member) bool { return m == o || m != nil && o != nil && m.Name == o.Name }

// barred reports whether the request must not be written to a member: it may have
// been already, and nothing is to be made up for there, it has no write left, or it
// was lost there again and again before anything was written.
func (r *Request) barred(m *Member) bool {
	if r.writes == 0 && r.losses == nil || r.owes(m) {
		return false
	}
	return r.writes >= MaxWrites || r.wroteTo(m) || r.losses.at(m) > 1
}

// owes reports whether a stale connection of a member is still to be made up for:
// nothing has been written there since, whatever became of the attempts.
func (r *Request) owes(m *Member) bool { return r.again != nil && same(r.again.m, m) }

// wroteTo reports whether the request may have been written to a member.
func (r *Request) wroteTo(m *Member) bool {
	return slices.ContainsFunc(r.to[:], func(o *Member) bool { return same(m, o) })
}

// wrote counts an attempt that may have been written.
func (r *Request) wrote(m *Member) {
	r.writes++
	if r.owes(m) {
		r.again = nil
	}
	if i := slices.Index(r.to[:], nil); i >= 0 && !r.wroteTo(m) {
		r.to[i] = m
	}
}

// failed notes that an attempt got no answer.
func (r *Request) failed(a *Attempt, o report.Outcome, f *report.Failure) {
	r.lost = true
	if r.since.IsZero() && (r.clocked || a.pool.view.Load().clocked) {
		r.clocked, r.since = true, time.Now()
	}
	switch o {
	case report.LostReused:
		if !same(r.reused, a.m) {
			r.again, r.reused = a, a.m
		}
	case report.Lost, report.StreamReset:
		r.lose(a, o, f)
	case report.Hung:
		r.hung++
	}
}

// clock starts the time without a connection of a request that has none yet.
func (r *Request) clock(now time.Time) {
	if !r.clocked {
		r.clocked, r.since = true, now
	}
}

// stopClock notes that the request has a connection.
func (r *Request) stopClock() {
	if !r.since.IsZero() {
		r.spent += time.Since(r.since)
		r.since = time.Time{}
	}
}

// connectBy is when the request has to have a connection by that view, or be over;
// zero for never.
func (r *Request) connectBy(v *view) time.Time {
	by := r.Deadline
	if !v.clocked || !r.clocked || r.since.IsZero() {
		return by
	}
	if t := r.since.Add(v.timeout - r.spent); by.IsZero() || t.Before(by) {
		by = t
	}
	return by
}
