// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// Attempt is one send of a request to one member: it begins when Next has chosen
// the member and ends when the member's place is free again.
//
//	Next ──► dialing ──Connected──► sending ──End(Answered)──► answering ──Done──► over
//	            └──────── End(any other outcome) ──┴──────────────────────────────► over
//
// Every Next that returned an attempt is followed by exactly one End, and one End
// with Answered by one Done: without them the member's place is never free again.
// What is called a second time, or too early, does nothing. Next is not asked for
// another attempt before the present one has ended.
//
// Like its Request, an attempt is not for concurrent use.
//
// Invariants: while an attempt is not over it holds one place on its member, and
// counts once in the pool's requests in progress; while it is dialing it counts
// in one of the member's dial slots; trial and gate are given back by End alone.
type Attempt struct {
	// Status is the HTTP status of the answer. The carrier sets it before
	// End(Answered); 0 says nothing. A returning priority backend that answers
	// 502, 503 or 504 is not home yet.
	Status int
	// Shared says that the connection carries other requests, too. The carrier sets it
	// before End(Lost): what ended the connection may have been any of them.
	Shared bool

	phase   phase
	written bool // something of it may have been written
	pool    *Pool
	request *Request
	grant
}

// phase is how far an attempt is.
type phase uint8

const (
	phaseOver      phase = iota // also of the zero Attempt
	phaseDialing                // has no connection yet
	phaseSending                // has its connection; how it ends is open
	phaseAnswering              // the response has begun, and keeps the place
)

// Member is where the request is sent. It stays known when the attempt is over.
func (a *Attempt) Member() *Member { return a.m }

// Dialing reports whether the attempt has neither its connection nor an end yet.
func (a *Attempt) Dialing() bool { return a.phase == phaseDialing }

// Connected says that the attempt has its connection: time without one (option
// timeout) ends here.
func (a *Attempt) Connected() {
	if a.phase != phaseDialing {
		return
	}
	a.phase = phaseSending
	a.m.dials[a.dial].Add(-1)
	a.request.stopClock()
	if a.m.shown.watched.Load() {
		a.pool.feed(inConnected{m: a.m, epoch: a.epoch})
	}
}

// Written says that something of the request may have been written to the member:
// it is not eligible for this request any more, and the request has one write
// less. It is said before End, or before Done of an answer that may be rejected.
func (a *Attempt) Written() {
	if a.phase == phaseOver || a.written {
		return
	}
	a.written = true
	a.request.wrote(a.m)
}

// End says how the attempt ended. err is shown to users as the member's last error.
func (a *Attempt) End(o report.Outcome, err error) {
	if a.phase != phaseDialing && a.phase != phaseSending {
		return
	}
	m := a.m
	if a.phase == phaseDialing {
		m.dials[a.dial].Add(-1)
	}
	a.phase = phaseAnswering
	if a.trial != 0 && o != report.Lost && (o != report.Answered || tracker.Fit(a.Status)) {
		m.trial.Leave(a.trial) // otherwise it is a trial that has failed: others wait for the rest of its time
	}
	m.outcomes[report.Counter(o, a.Status)].Add(1)
	news := a.gate != 0 || a.trial != 0 || m.shown.watched.Load()
	in := inEnd{m: m, outcome: o, epoch: a.epoch, gate: a.gate, body: a.request.Unread, trial: a.trial != 0, status: a.Status}
	if o == report.Answered {
		if a.from != nil {
			a.move()
		}
		if news {
			a.pool.feed(in)
		}
		if l := a.request.blames(); l != nil {
			a.pool.feed(inBlame{l})
		}
		return
	}
	in.failure = report.Note(err)
	a.request.failed(a, o, in.failure)
	if o == report.Lost {
		in.loss = a.request.losses.last()
		in.final = !a.request.Safe
	}
	// Only now, so that a failure is known before another request gets the free place.
	if news || o == report.DialFailed || o == report.Lost {
		a.pool.feed(in)
	}
	a.free()
}

// Done says that the whole exchange is over, response body included, and frees the
// member's place; for outcomes other than Answered End has done so already.
func (a *Attempt) Done() {
	if a.phase == phaseAnswering {
		a.free()
	}
}

func (a *Attempt) free() {
	a.phase = phaseOver
	a.m.inProgress.Add(-1)
	a.pool.inProgress.Add(-1)
	if a.pool.places.Load() {
		a.pool.feed(inPlace{})
	}
}

// move remembers where the client of an answered request has been moved to.
func (a *Attempt) move() {
	p, r := a.pool, a.request
	v := p.view.Load()
	if v.forced >= 0 {
		return
	}
	i := v.find(a.from)
	if v.affinity == address.AffinityPool || i >= 0 && v.flags[i]&flagHome != 0 {
		p.feed(inMoved{from: a.from, to: a.moved})
	}
	if r.Keyed && v.remembers() && p.moves.Put(r.Key, a.moved, p.tick.Load()) {
		p.unsaved.Store(true)
	}
}

// Abandoned ends when the attempt's dial is not worth waiting for any more: the
// member went down, or hangs while there are others. A carrier that still waits
// for a connection then ends the attempt with DialAborted and asks Next again.
func (a *Attempt) Abandoned() context.Context { return a.group.waiting }

// ConnectBy is when the request has to have a connection, or be over; zero when
// it has all the time its client gives it. A carrier that still dials then ends
// the attempt with DialAborted.
func (a *Attempt) ConnectBy() time.Time { return a.request.connectBy(a.pool.view.Load()) }

// MovedTo is the Name of the member that the client of this answered request
// has been moved to, or "" when it is on its own: what a cookie has to say.
func (a *Attempt) MovedTo() string {
	if a.moved == nil {
		return ""
	}
	return a.moved.Name
}
