// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

const (
	// verifyEvery is the shortest time between two pings of a member because of losses.
	verifyEvery = 100 * time.Millisecond
	// trust is for how long an answered ping speaks for a member that loses requests.
	trust = time.Second
)

// A member that loses a request before its answer has begun may be dead, or the request may be one
// that it never answers, and its client may send many of those. So a loss starts a
// ping, and what that finds out counts. Until then only requests go there that would
// be sent again, unless the member has just answered one.

// lost notes that a member lost a request.
func (x *machine) lost(m *Member, f *report.Failure) {
	if m.state == stateUp && x.now.Sub(m.pong) >= trust && x.verifies(m) {
		m.err, m.errAt = f, x.now
		x.set(m, stateSuspect)
	}
	x.verify(m)
}

// verifies reports whether pings are made of a member.
func (x *machine) verifies(m *Member) bool {
	return x.running && !x.interrupted && !m.gone && !m.drained
}

// verify has a member pinged, at once or as soon as that may be.
func (x *machine) verify(m *Member) {
	if !x.verifies(m) {
		m.owed = false
		return
	}
	if m.verifying || x.now.Sub(m.checked) < verifyEvery {
		m.owed = true
		return
	}
	m.verifying, m.owed, m.checked = true, false, x.now
	x.ping(m, pingVerify, 0)
}

// verifyDue is when a member is pinged next because of losses.
func (x *machine) verifyDue(m *Member) (time.Time, bool) {
	return m.checked.Add(verifyEvery), m.owed && !m.verifying && x.verifies(m)
}

// blame counts a loss against its member, although that answers pings. It takes
// several clients, and the last member that serves is kept: whoever is lost there
// would only wait instead.
func (x *machine) blame(l *loss) {
	m := l.m
	if m.gone || m.epoch != l.epoch || m.state == stateDown {
		return
	}
	if m.losses.Note(x.now, l.client, m.outcomes[report.Answered].Load()) && x.anyOther(m) {
		x.fail(m, "lost", l.failure)
	}
}

// incriminated reports whether two members have lost a request and live: it is the request
// then, and no other member shall meet it.
func (x *machine) incriminated(r *Request) bool { return r.losses.members((*loss).lives) > 1 }

// waitsForPings reports whether it is about to be found out if a request is
// incriminated.
func (x *machine) waitsForPings(r *Request) bool {
	pending := func(l *loss) bool { return !l.lives() && l.open() }
	return r.losses.members(pending) > 0 && r.losses.members(func(l *loss) bool { return l.lives() || l.open() }) > 1
}

// outlasted notes that requests on a member had their time in its gate. Where nothing
// is up, and one of those that try the member takes its time, an answered ping is enough:
// recovery must not wait for what the clients of those may drag out.
func (x *machine) outlasted(m *Member) {
	if m.state == stateTrial && !x.anyUp() {
		m.stands = true
		x.verify(m)
	}
}

// anyUp reports whether a member serves that is up.
func (x *machine) anyUp() bool {
	for _, m := range x.members {
		if m.serves() && m.state == stateUp {
			return true
		}
	}
	return false
}
