// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// probe pings members for their own sake, while others serve. A process that is
// stopping leaves that to its successor.
func (x *machine) probe() {
	if !x.running || x.interrupted {
		return
	}
	for _, m := range x.members {
		if m.owed {
			x.verify(m)
		}
		if due, ok := x.probeDue(m); ok && !due.After(x.now) {
			x.ping(m, pingProbe, 0)
		}
	}
}

// probeDue is when a member is pinged next for its own sake.
func (x *machine) probeDue(m *Member) (time.Time, bool) {
	if m.pings > 0 || m.drained || x.interrupted {
		return time.Time{}, false
	}
	switch {
	case m.state == stateUp && !m.seen && !x.worker.Active:
		return x.now, true // configured by a reload: not known yet
	case m.state == stateDown && !x.worker.Active:
		return m.base.Add(x.capped(m.delay)), true
	case m.state == stateTrial && x.held(m):
		return m.pinged.Add(m.failback.Pace(x.opt.FailbackDelay)), true
	case m.state == stateTrial:
		return m.base.Add(m.delay), true
	}
	return time.Time{}, false
}

// pinged draws the conclusions of one ping.
func (x *machine) pinged(in inPing) {
	m := in.m
	m.pings--
	m.inPass = false
	if in.kind == pingVerify {
		m.verifying, x.verified = false, true
	}
	if m.gone {
		return
	}
	if in.result.Refused && !m.watch.Quiet.IsZero() {
		m.watch.Reset(m.traffic(), x.now) // its host lives: it may be stopping, and finish what it has
	}
	switch f := in.failure; {
	case in.epoch != m.epoch:
		// It has been down since; what a later ping says counts.
	case f == nil:
		x.ponged(m, in.asked, in.result.Status)
	case in.result.Neutral:
		m.base, m.delay = x.now, x.wait(max(m.step, 1))
	case in.kind == pingWatch && f.Late:
		// No answer is what the hang verdict is about, not a failure by itself.
	case m.state == stateDown:
		m.err, m.errAt, x.lastErr = f, x.now, f
		m.early = time.Time{}
		m.step++
		m.base, m.delay = x.now, x.wait(m.step)
	case in.result.Unanswered && (m.state == stateUp || m.state == stateSuspect):
		// It is there and may be busy. What becomes of requests decides.
		if m.state == stateSuspect {
			x.set(m, stateUp)
		}
	case m.state == stateUp && m.seen && f.Late && in.kind != pingVerify:
		// Dials are slow; those of requests decide.
	default:
		x.fail(m, "dial", f)
	}
}

// ponged notes an answered ping.
func (x *machine) ponged(m *Member, asked uint64, status int) {
	m.pong = x.now
	m.vouched = max(m.vouched, asked)
	if !m.watch.Quiet.IsZero() {
		m.watch.Reset(m.traffic(), x.now) // it lives, whatever it is doing
	}
	x.see(m)
	switch m.state {
	case stateDown:
		x.revive(m)
	case stateSuspect:
		x.set(m, stateUp)
	case stateTrial:
		m.base, m.delay = x.now, min(2*m.delay, max(x.opt.MaxReconnectDelay, tracker.ShortDelay))
	}
	if m.state == stateTrial {
		x.dirty = m.failback.Pinged(x.now, status, x.opt.FailbackDelay) || x.dirty
		if m.returned() && !x.held(m) {
			x.tellResumed(m, false) // however long it takes until a request goes there
		}
		if m.resumed && (m.failback.Ready || !x.held(m)) || m.stands && !x.anyUp() {
			x.restoreToService(m)
		}
	}
}
