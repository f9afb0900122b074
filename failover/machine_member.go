// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// memberState is what the pool holds of a member.
type memberState uint8

const (
	stateUp      memberState = iota
	stateSuspect             // lost a connection, or a dial to it hangs
	stateTrial               // answered a ping after it was down, but no request yet
	stateDown
)

func (s memberState) String() string {
	return [...]string{"up", "suspect", "trial", "down"}[s]
}

// trialPatience is how long a member that came back looks for a safe request to
// prove itself with. Then any request may: a service that is only ever posted to
// must come back too.
const trialPatience = 10 * time.Second

// node is the machine's part of a member.
type node struct {
	serial  uint64 // grows with each member that the pool gets
	state   memberState
	since   time.Time // of the state
	slow    bool      // suspect because of a dial that hangs
	cleared bool      // suspect, but has answered a ping since
	seen    bool      // has answered anything since it was last down, or at all
	lost    bool      // has been told as lost

	gone     bool // no longer in the list
	drained  bool
	pushed   bool    // added at run time
	unproved bool    // added at run time, and not answered yet: in nobody's order
	sourced  bool    // only sources name it: it goes when they do
	dynamic  bool    // only the dynamic source names it
	sentTo   *Member // where it asked its clients to go
	rank     int     // among the priority addresses; -1 for others

	named time.Time // when the dynamic source last did

	home bool      // calls its clients back from where they moved
	back time.Time // when it last came back
	err  *failure  // the last one

	// Probing: step counts the failures since a request was last answered, delay
	// is the wait after base.
	step   int
	base   time.Time
	delay  time.Duration
	pings  int // on their way
	pinged time.Time
	pong   time.Time // last answered ping
	inPass bool

	gate     gate
	failback failback
	watch    watch
}

// connected notes that a request got its connection to a member that is not
// plainly up: dials to it do not hang.
func (x *machine) connected(in inConnected) {
	m := in.m
	if in.epoch == m.epoch.Load() && m.state == stateSuspect && m.slow {
		x.set(m, stateUp)
	}
}

// ended draws the conclusions of one attempt.
func (x *machine) ended(in inEnd) {
	m := in.m
	if m.gone || in.epoch != m.epoch.Load() {
		return // it has been down since: this says nothing about it now
	}
	if in.gated {
		m.gate.ended(in.outcome)
	}
	switch in.outcome {
	case Answered:
		x.answered(m, in.slot, in.status)
	case DialFailed:
		x.fail(m, "dial", in.failure)
	case Lost:
		switch m.state {
		case stateUp:
			m.err = in.failure
			x.set(m, stateSuspect)
			x.ping(m, pingProbe, 0)
		case stateSuspect, stateTrial:
			if m.slow {
				m.slow, x.dirty = false, true
				return
			}
			x.fail(m, "lost", in.failure)
		}
	}
}

// answered notes a response of a member that is not plainly up.
func (x *machine) answered(m *Member, trial bool, status int) {
	x.see(m)
	if m.state == stateDown {
		return
	}
	if m.state == stateTrial && m.rank >= 0 && trial && !fit(status) {
		m.failback.begin(x.now)
		x.dirty = true
		return
	}
	m.step, x.worker.step = 0, 0
	was := m.state
	if was != stateUp {
		x.set(m, stateUp)
	}
	if was == stateTrial && m.rank >= 0 {
		m.failback.done(x.now)
		x.tellHome(m)
	}
}

// see notes that a member is there.
func (x *machine) see(m *Member) {
	m.seen = true
	if !x.reached {
		x.reached, x.dirty = true, true
		x.changed = true
	}
}

// fail takes a member down.
func (x *machine) fail(m *Member, why string, f *failure) {
	m.err = f
	x.lastErr = f
	if m.state == stateDown {
		return
	}
	clients := m.inProgress.Load()
	m.failback.lost(m, x)
	x.set(m, stateDown)
	m.seen, m.home = false, false
	m.step++
	m.base, m.delay = x.now, x.back.delay(m.step, x.random())
	x.renew(m)
	if x.forced == m {
		x.forced = nil
	}
	if m.unproved || m.drained {
		return
	}
	x.counts.failovers[why]++
	if !m.lost {
		m.lost = true
		x.tellLost(m, why, clients)
	}
}

// calls tells whether a new member calls clients from the start. It does not
// where all are one and would move together.
func (x *machine) calls(m *Member) bool {
	return !x.running || m.rank >= 0 || x.opt.EffectiveAffinity().Kind != address.AffinityPool
}

// renew makes what requests in progress report from now on stale.
func (x *machine) renew(m *Member) {
	m.epoch.Add(1)
	m.gate = newGate()
	x.abandon(m)
}

// abandon ends the waiting of all that dial m.
func (x *machine) abandon(m *Member) {
	m.pending.Swap(newDialGroup()).end()
}

// revive notes that a member which was down answered a ping.
func (x *machine) revive(m *Member) {
	if m.unproved {
		m.unproved = false
		x.set(m, stateUp)
		m.home = x.calls(m)
		return
	}
	x.set(m, stateTrial)
	m.back = x.now
	m.failback.begin(x.now)
	m.base, m.delay = x.now, shortDelay
}

// set changes the state of a member.
func (x *machine) set(m *Member, s memberState) {
	was := m.state
	if was != s {
		x.log(slog.LevelDebug, "backend state changed", "upstream", m.Name, "from", was.String(), "to", s.String())
	}
	m.state, m.since, m.slow, m.cleared = s, x.now, false, false
	x.dirty = true
	x.changed = true
	if s != stateUp || was == stateUp {
		return
	}
	m.home = m.home || m.rank >= 0
	if m.lost {
		m.lost = false
		x.tellResumed(m)
	}
}

// serves tells whether the member is one that requests may get, in principle.
func (m *Member) serves() bool { return !m.drained && !m.unproved && m.state != stateDown }

// anyOther tells whether another member serves.
func (x *machine) anyOther(m *Member) bool {
	for _, o := range x.members {
		if o != m && o.serves() {
			return true
		}
	}
	return false
}
