// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

const (
	// slowDial is the age, in slots, from which a pending dial makes its member
	// suspect: it has then been pending for at least a second.
	slowDial = 11
	// homeAfter is how long a member has to be back until it calls its clients home.
	homeAfter = 10 * time.Minute
)

// fitSamples fits the samples to the shortest maxInactivityDuration.
func (x *machine) fitSamples() {
	shortest := time.Duration(0)
	for _, m := range x.members {
		if d := m.limits.MaxInactivityDuration; d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	x.sampler.Configure(shortest)
}

// sample looks at the counters, if it is time.
func (x *machine) sample(in inTick) {
	s := &x.sampler
	s.Moved = s.Moved || in.moved
	if !s.Due(x.now) {
		return
	}
	served := uint64(0)
	for _, m := range x.members {
		for i := range m.outcomes {
			served += m.outcomes[i].Load()
		}
	}
	if served != s.Served || in.total > 0 {
		s.Served, x.lastRequest = served, x.now
	}
	if s.Turn(x.now) {
		x.slowDials(s.Tick)
	}
	for _, m := range x.members {
		if m.gate.Expire(x.now) {
			x.outlasted(m)
		}
		x.observe(m)
		x.tellAnswers(m)
	}
	x.changed = x.changed || s.Moved
	s.Moved = false
	s.Awake = in.total > 0
}

// slowDials makes members suspect whose dials hang, and sends those that dial
// elsewhere if there is somewhere to go.
func (x *machine) slowDials(tick uint32) {
	for _, m := range x.members {
		pending := int32(0)
		for age := uint32(slowDial); age < dialSlots; age++ {
			pending += m.dials[(tick-age)%dialSlots].Load()
		}
		if pending == 0 || m.state == stateDown {
			continue
		}
		if !m.slow {
			x.set(m, stateSuspect)
			m.slow = true
			x.ping(m, pingProbe, m.limits.ConnectionTimeout)
		}
		if !x.noFailover() && x.openBut(m) {
			x.abandon(m)
		}
	}
}

// openBut reports whether another member is open.
func (x *machine) openBut(m *Member) bool {
	for i, o := range x.view.members {
		if o != m && x.view.flags[i]&flagOpen != 0 && !o.slow {
			return true
		}
	}
	return false
}

// ripen does what only needs time.
func (x *machine) ripen() {
	for _, m := range x.members {
		if x.opt.Randomize && !m.home && m.state != stateDown && !m.back.IsZero() &&
			x.now.Sub(m.back) >= homeAfter {
			m.home, x.changed = true, true
		}
	}
	if x.dirty {
		return
	}
	for i, m := range x.view.members {
		if x.flags(m) != x.view.flags[i] {
			x.dirty = true
			return
		}
	}
}

// wakeAt is when the machine needs a tick at the latest; zero for never.
func (x *machine) wakeAt() (at time.Time) {
	if !x.running {
		return at
	}
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	switch w := &x.worker; {
	case x.interrupted:
	case w.Running:
		sooner(w.Started.Add(tracker.PassTime))
	case w.Active && !x.allDrained():
		sooner(x.passDue())
	}
	if x.sampler.Awake {
		sooner(x.sampler.Next)
	}
	if x.queue.len() > 0 {
		sooner(x.queue.consultAt)
	}
	for _, m := range x.members {
		if due, ok := x.probeDue(m); ok {
			sooner(due)
		}
		if due, ok := x.verifyDue(m); ok {
			sooner(due)
		}
		if !m.early.IsZero() {
			sooner(m.early.Add(leftTime))
		}
		if m.state == stateTrial && !x.held(m) || m.failback.Ready {
			if t := m.failback.Trial.Add(trialPatience); t.After(x.now) {
				sooner(t)
			}
		}
		if x.opt.Randomize && !m.home && m.state != stateDown && !m.back.IsZero() {
			sooner(m.back.Add(homeAfter))
		}
		if due := m.flaps.Due(); !due.IsZero() {
			sooner(due)
		}
	}
	return at
}
