// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
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

// node is the machine's part of a member. All durations and times are those of the
// machine's clock.
//
// Invariants: slow implies stateSuspect; unproved implies pushed and
// stateDown; early implies unproved; index is not -1 exactly while the member is in the view's order;
// pings is never negative; step is 0 once a request was answered by a member that
// is up.
type node struct {
	serial uint64 // grows with each member that the pool gets

	// What requests are shown: see shown.
	epoch   uint32 // grows when it goes down: what older attempts report is stale
	index   int32  // in the view; -1 when it is not there
	watched bool   // Connected and Answered of it are news
	limits  Limits

	state   memberState
	since   time.Time       // of the state
	slow    bool            // suspect because of a dial that hangs
	stands  bool            // a request that tries it has had all its time: see outlasted
	seen    bool            // has answered anything since it was last down, or at all
	resumed bool            // put back by the operator: answered pings are enough for it to be up
	err     *report.Failure // the last one since it was up; nil for none
	errAt   time.Time       // when it was met

	// On whose word it is a member: see roster.
	gone       bool      // no longer in the list
	drained    bool      // the operator lets it rest
	pushed     bool      // added at run time
	unproved   bool      // added at run time, and not answered yet: in no client's order
	early      time.Time // unproved, and has answered since then: see prove; zero otherwise
	sourced    bool      // only sources name it: it goes when they do
	restricted bool      // and not the operator: where it leads is checked at each dial
	dynamic    bool      // only the dynamic source names it
	named      time.Time // when the dynamic source last did
	rank       int       // among the priority addresses, 0 for the best; -1 for others

	// Where its clients are.
	home   bool      // calls them back from where they moved
	back   time.Time // when it last came back; zero for never
	sentTo *Member   // where it asked its clients to go; nil for nowhere

	// Probing: the next probe is due when delay is over after base.
	step   int           // failures since a request was last answered
	base   time.Time     // the wait is counted from here
	delay  time.Duration // the wait
	pings  int           // on their way
	pinged time.Time     // when the last one was asked for
	pong   time.Time     // when the last one was answered
	inPass bool          // the running pass waits for it

	// Requests that were lost: see lost.
	losses    tracker.Losses
	asked     uint64    // how many pings were asked for
	vouched   uint64    // the last of them that was answered
	checked   time.Time // when it was last pinged because of a loss
	verifying bool      // and the ping is on its way
	owed      bool      // and another one is due

	gate     tracker.Gate
	failback tracker.Failback
	watch    tracker.Watch

	flaps   tracker.Flaps
	answers tracker.Answers
}

// connected notes that a request got its connection to a member that is not
// plainly up: dials to it do not hang.
func (x *machine) connected(in inConnected) {
	m := in.m
	if in.epoch == m.epoch && m.state == stateSuspect && m.slow {
		x.set(m, stateUp)
	}
}

// ended draws the conclusions of one attempt.
func (x *machine) ended(in inEnd) {
	m := in.m
	if m.gone || in.epoch != m.epoch {
		return // it has been down since: this says nothing about it now
	}
	m.gate.Leave(in.gate, in.body, in.outcome == report.Answered)
	switch in.outcome {
	case report.Answered:
		x.answered(m, in.trial, in.status)
	case report.DialFailed:
		x.fail(m, "dial", in.failure)
	case report.Lost:
		in.loss.asked = m.asked
		x.lost(m, in.failure)
		if in.final {
			x.blame(in.loss)
		}
	}
}

// answered notes a response of a member that is not plainly up.
func (x *machine) answered(m *Member, trial bool, status int) {
	x.see(m)
	if m.state == stateDown {
		return
	}
	if m.state == stateTrial && m.rank >= 0 && trial && !tracker.Fit(status) {
		x.verify(m) // it may be that request alone
		return
	}
	m.step, x.worker.Step = 0, 0
	if m.state != stateUp {
		x.restoreToService(m)
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
func (x *machine) fail(m *Member, why string, f *report.Failure) {
	m.err, m.errAt = f, x.now
	x.lastErr = f
	if m.state == stateDown {
		return
	}
	clients := m.inProgress.Load()
	if m.state == stateUp || m.state == stateSuspect {
		m.failback.Lost(x.now, x.opt.FailbackDelay, x.opt.MaxReconnectDelay)
	}
	x.set(m, stateDown)
	m.seen, m.home = false, false
	m.step++
	m.base, m.delay = x.now, x.wait(m.step)
	x.renew(m)
	if x.forced == m {
		x.forced = nil
	}
	if m.unproved || m.drained {
		return
	}
	if !m.flaps.Away() || !x.anyOther(m) && !x.outage.Active() {
		x.tellLost(m, why, clients)
	}
}

// calls reports whether a new member calls clients from the start. It does not
// where all are one and would move together.
func (x *machine) calls(m *Member) bool {
	return !x.running || m.rank >= 0 || x.opt.EffectiveAffinity().Kind != address.AffinityPool
}

// renew makes what requests in progress report from now on stale.
func (x *machine) renew(m *Member) {
	m.epoch++
	m.gate = tracker.NewGate(m.gate)
	m.losses, m.owed = tracker.Losses{}, false
	x.abandon(m)
}

// abandon ends the waiting of all that dial m.
func (x *machine) abandon(m *Member) { x.out.abandoned = append(x.out.abandoned, m) }

// set changes the state of a member.
func (x *machine) set(m *Member, s memberState) {
	was := m.state
	if was != s {
		x.log(slog.LevelDebug, "backend state changed", "upstream", m.Name, "from", was.String(), "to", s.String())
	}
	m.state, m.since, m.slow, m.stands = s, x.now, false, false
	x.dirty = true
	x.changed = true
	if s != stateUp || was == stateUp {
		return
	}
	m.home, m.resumed = m.home || m.rank >= 0, false
	x.forgive(m)
	x.tellResumed(m, false)
}

// returned reports whether the member is known to be there: it has answered a request, or
// pings for a while.
func (m *Member) returned() bool {
	return m.state == stateUp || m.state == stateTrial && m.failback.Ready
}

// serves reports whether the member is one that requests may get, in principle.
func (m *Member) serves() bool { return !m.drained && !m.unproved && m.state != stateDown }

// anyOther reports whether another member serves.
func (x *machine) anyOther(m *Member) bool {
	for _, o := range x.members {
		if o != m && o.serves() {
			return true
		}
	}
	return false
}
