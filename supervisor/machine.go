// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
)

// machine is the state of one supervised child: its processes, what is wanted,
// and when the next start is due. step is the only thing that changes it. It
// does nothing itself: the actions that step returns are the owner's to carry
// out, in order.
//
// Invariants: at most one process is active; at most MaxGenerations of the
// spec serve users, those included that were replaced a short while ago, and at most
// MaxDrains finish what they had; no replacement ends by force what finishes requests; a process
// starts only while the child is wanted; what hangs is gone before another is started
// in its place; what must be alone starts when no other process is left; what ran before waits to serve
// during a probation only, and nothing else does then; every request
// is answered once, however long a process takes to die.
type machine struct {
	name   string
	spec   *Spec // of the running generation; nil before the first start
	gen    int   // the running generation: grows with each spec that serves
	lastID int   // ids of processes grow, and are never used again
	lastGn int   // at least gen; more while there is a candidate, or was one

	frozen    bool       // it is handed over: nothing is started, ended or told
	missed    []inExited // since it is frozen
	wanted    bool       // the child is to run: between a start and a stop
	closed    bool       // for ever; not wanted then
	procs     []*proc    // all that have not exited, the oldest first
	candidate *candidate // only while wanted; nil when nothing is to be replaced
	later     *candidate // what comes after a candidate that has begun; else nil
	rooms     []roomer   // those that wait until a replacement would begin at once

	served    bool      // some process was ready since the child was last wanted
	deaths    int       // in a row, without being ready for Restart.Reset
	nextStart time.Time // no start before this; zero is at once
	restart   bool      // the next start follows a death: it is logged as a restart
	bereft    bool      // a process has died in this step
	lacking   bool      // it was told that there are fewer spares than there should be

	starting []int // replies due when the child serves, or cannot start
	stopping []int // replies due when nothing runs any more

	gapSince time.Time   // no process accepts since then, though one should; zero is none
	hold     time.Time   // the owner answers on the held sockets until then; zero is not
	lastExit *exits.Exit // nil before the first

	probation *probation     // of what serves; nil is none
	lately    answers.Window // of the process that serves

	lastFailure *exits.Exit // the last that was not asked for
	stats       Stats
	shown       string        // the child's state, as told to users
	since       time.Time     // it is shown
	seen        time.Time     // when the last input came
	slept       time.Duration // since the one before

	memory memory.Watch // of the process that serves

	random func() float64 // evenly from [0, 1), for jitter

	out     []action // of the present step, in order
	answers []action // replies, which come after out
}

// holdBefore is how far the next start must be away for the parent to answer
// users itself instead of letting them queue.
const holdBefore = 5 * time.Second

// Stats are counters since the supervisor was made.
type Stats struct {
	// Starts counts processes.
	Starts uint64
	// Restarts counts starts, and promotions of a standby, that followed a death.
	Restarts uint64
	// Broken counts processes that lived and could not be understood any more, or said
	// nothing more.
	Broken uint64
	// Exits counts by reason.
	Exits map[string]uint64
	// StartSeconds is the last start's time from spawn to readiness.
	StartSeconds float64
	// Gap is the time in which no process accepted though the child was wanted.
	Gap time.Duration
}

func newMachine(name string, random func() float64) *machine {
	return &machine{name: name, random: random, shown: stateStopped, stats: Stats{Exits: map[string]uint64{}}}
}

func (m *machine) active() *proc { return m.first(phaseActive) }

func (m *machine) first(ph phase) *proc {
	for _, p := range m.procs {
		if p.phase == ph {
			return p
		}
	}
	return nil
}

func (m *machine) count(ph phase) int {
	n := 0
	for _, p := range m.procs {
		if p.phase == ph {
			n++
		}
	}
	return n
}

// loading counts the processes that are on their way.
func (m *machine) loading() int { return m.count(phaseStarting) + m.count(phaseProving) }

func (m *machine) find(id int) *proc {
	for _, p := range m.procs {
		if p.id == id {
			return p
		}
	}
	return nil
}

// left counts the processes whose end is waited for.
func (m *machine) left() int {
	n := 0
	for _, p := range m.procs {
		if !p.lost {
			n++
		}
	}
	return n
}

func (m *machine) remove(p *proc) {
	m.procs = slices.DeleteFunc(m.procs, func(q *proc) bool { return q == p })
}

// step takes one input at one time and returns what has to be done about it.
func (m *machine) step(now time.Time, in input) []action {
	m.out, m.answers = nil, nil
	m.wake(now)
	m.settle(now)
	in.apply(m, now)
	if m.frozen {
		m.account(now)
		return append(m.out, m.answers...)
	}
	m.deadlines(now)
	m.watchProbation(now)
	if m.wanted {
		m.redundancy(now)
	}
	m.spawn(now)
	m.makeRoom(now)
	m.holding(now)
	m.account(now)
	return append(m.out, m.answers...)
}

// wake restarts the periods in which processes have to say something when this
// process itself was not running: it must not murder its children for its own sleep.
func (m *machine) wake(now time.Time) {
	slept := now.Sub(m.seen)
	if m.seen.IsZero() {
		slept = 0
	}
	m.seen, m.slept = now, slept
	for _, p := range m.procs {
		if w := p.spec.Watchdog; w > 0 && slept > doze(w) && !p.lastBeat.IsZero() {
			p.beat(now)
		}
		if r := p.spec.ReadyTimeout; p.phase == phaseStarting && r > 0 && slept > doze(r) {
			p.deadline = now.Add(r)
		}
	}
}

// doze is how long this process may have slept for a period still to count.
func doze(period time.Duration) time.Duration { return max(period/2, time.Second/2) }

// spawn starts what is missing: the process that is to serve, a replacement,
// spares.
func (m *machine) spawn(now time.Time) {
	if !m.wanted {
		return
	}
	if p := m.first(phaseProving); p != nil && m.active() == nil && m.first(phaseStandby) == nil {
		inProved{id: p.id}.apply(m, now) // see mustProve
		m.event("broker_child_promoted", p, map[string]any{"role": string(phaseActive), "after": "death"})
	}
	m.begin(now)
	if c := m.candidate; c != nil && (m.specOf(c).StopFirst || m.spec.StopFirst) {
		return // they do not run side by side
	}
	need := 1 // spares come when a process serves
	if m.active() != nil {
		if m.probation != nil {
			m.keepSpare(now)
			return
		}
		if need = m.spec.Standby; m.candidate != nil {
			return // those that it would have are not this generation's
		}
	}
	for n := m.coming(); n < need && !now.Before(m.nextStart); n++ {
		if m.spec.StopFirst && (m.active() != nil || !m.clear(now)) {
			return
		}
		m.start(now, m.spec, m.gen)
	}
}

// coming counts the running generation's processes that may yet serve, and what
// hangs or cannot be understood: nothing takes its place before it is gone.
func (m *machine) coming() int {
	n := 0
	for _, p := range m.procs {
		if p.gen != m.gen {
			continue
		}
		failing := p.phase == phaseKilled && !p.lost && (p.cause == exits.Hang || p.cause == exits.StartFailure || p.cause == exits.Crash)
		if p.phase == phaseStarting || p.phase == phaseStandby || failing {
			n++
		}
	}
	return n
}

func (m *machine) start(now time.Time, spec *Spec, gen int) {
	m.release()
	m.lastID++
	p := &proc{id: m.lastID, gen: gen, spec: spec, phase: phaseStarting, started: now}
	p.unbound = m.spareOfBefore(p)
	if spec.ReadyTimeout > 0 {
		p.deadline = now.Add(spec.ReadyTimeout)
	}
	m.procs = append(m.procs, p)
	m.stats.Starts++
	if m.restart && gen == m.gen {
		m.restarting()
	}
	m.log(halog.Command, "[HA] command line for child broker: ["+spec.shown()+"]")
	m.log(halog.Creating, "[HA] creating process for child broker")
	m.do(action{kind: actSpawn, id: p.id, spec: spec, unbound: p.unbound})
}

// restarting notes that another process takes a dead one's place.
func (m *machine) restarting() {
	m.restart = false
	m.stats.Restarts++
	m.log(halog.Restarting, "restarting child broker")
}

// holding decides whether the owner answers users itself: only while the next
// start is more than holdBefore away and no process could.
func (m *machine) holding(now time.Time) {
	if !m.wanted || m.active() != nil || m.loading() > 0 || m.count(phaseStandby) > 0 || m.nextStart.Sub(now) <= holdBefore {
		m.release()
		return
	}
	if m.hold.Equal(m.nextStart) {
		return
	}
	m.release()
	m.hold = m.nextStart
	m.do(action{kind: actHold, at: m.hold})
}

func (m *machine) release() {
	if !m.hold.IsZero() {
		m.hold = time.Time{}
		m.do(action{kind: actRelease})
	}
}

// account keeps the figures that depend on the state alone.
func (m *machine) account(now time.Time) {
	gap := m.wanted && m.active() == nil
	switch {
	case gap && m.gapSince.IsZero():
		m.gapSince = now
	case !gap && !m.gapSince.IsZero():
		m.stats.Gap += now.Sub(m.gapSince)
		m.gapSince = time.Time{}
	}
	if s := m.state(); s != m.shown {
		m.shown, m.since = s, now
	}
}

// next is when the machine wants to be asked again though nothing happens; zero
// is never. It lies after the time of the last step.
func (m *machine) next() time.Time {
	var at time.Time
	if m.frozen {
		return at
	}
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range m.procs {
		sooner(p.deadline)
		sooner(p.killAt)
		sooner(p.leaveBy)
		sooner(p.settleAt)
		// What waits for a sign of life is looked at often enough to notice when
		// this process was not running.
		if p.phase == phaseStarting && p.spec.ReadyTimeout > 0 {
			sooner(m.seen.Add(doze(p.spec.ReadyTimeout) * 2 / 3))
		}
		if w := p.spec.Watchdog; w > 0 && !p.lastBeat.IsZero() && p.phase != phaseKilled {
			sooner(m.seen.Add(doze(w) * 2 / 3))
			sooner(p.lastBeat.Add(w))
			if at := p.lastBeat.Add(quiet(w)); at.After(m.seen) {
				sooner(at)
			}
		}
	}
	if c := m.candidate; c != nil && !c.begun && c.until.After(m.seen) {
		sooner(c.until)
	}
	if pr := m.probation; pr != nil && m.active() != nil {
		for _, at := range []time.Time{pr.until, pr.probeAt, m.active().nextLook()} {
			if at.After(m.seen) {
				sooner(at)
			}
		}
	}
	for _, r := range m.rooms {
		sooner(r.until)
	}
	if !m.hold.IsZero() {
		sooner(m.hold.Add(-holdBefore))
	}
	if m.wanted && m.nextStart.After(m.seen) {
		sooner(m.nextStart)
	}
	return at
}

// States of a child, as users see them.
const (
	stateActive   = "active"   // a process of it accepts connections
	stateStarting = "starting" // none does yet, and one is on its way
	stateBackoff  = "backoff"  // none does, and the next start is waited for
	stateStopping = "stopping" // it was told to stop, and something of it is left
	stateStopped  = "stopped"  // it was told to stop, and nothing of it is left
)

// state is the child's as a whole.
func (m *machine) state() string {
	switch {
	case !m.wanted && m.left() > 0:
		return stateStopping
	case !m.wanted:
		return stateStopped
	case m.active() != nil:
		return stateActive
	case m.loading() == 0 && m.nextStart.After(m.seen):
		return stateBackoff
	default:
		return stateStarting
	}
}
