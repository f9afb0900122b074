// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"time"
)

// phase is where one process is in its life.
type phase string

const (
	phaseStarting phase = "starting" // spawned, not ready
	phaseStandby  phase = "standby"  // ready, gated
	phaseActive   phase = "active"   // accepting
	phaseDraining phase = "draining" // replaced, finishes what is in progress
	phaseStopping phase = "stopping" // told to stop
	phaseKilled   phase = "killed"   // signalled to death
)

// proc is one process. cause says why we ended it; empty means that its exit is
// its own doing.
type proc struct {
	id      int
	gen     int
	spec    *Spec
	pid     int
	phase   phase
	cause   string
	packets bool // may read datagram sockets

	started  time.Time
	ready    time.Time
	lastBeat time.Time
	deadline time.Time // of the phase; zero is none
	killAt   time.Time // SIGKILL after SIGABRT or stop
}

func (p *proc) living() bool { return p.phase != phaseStopping && p.phase != phaseKilled }

// candidate is a replacement on its way: a spec that serves once a process of it
// is ready, and those who wait for that.
type candidate struct {
	spec  *Spec
	gen   int
	reply []int
}

// maxGenerations bounds the processes that serve users at the same time, the
// active one included: a further replacement ends the oldest drain early.
const maxGenerations = 3

// Reasons of an exit, as counted and told.
const (
	exitCrash        = "crash"
	exitHang         = "hang"
	exitStop         = "stop"
	exitReplace      = "replace"
	exitStartFailure = "start_failure"
)

// machine is the state of one supervised child: its processes, what is wanted,
// and when the next start is due. step is the only thing that changes it. It
// does nothing itself: the actions that step returns are the owner's to carry
// out, in order.
//
// Invariants: at most one process is active; a process starts only while the
// child is wanted; a standby or starting process is never signalled to death
// while it is the only one able to serve.
type machine struct {
	name   string
	spec   *Spec // of the running generation
	gen    int
	lastID int
	lastGn int

	wanted    bool
	procs     []*proc
	candidate *candidate

	everReady bool
	deaths    int       // in a row, without being ready for Restart.Reset
	nextStart time.Time // no start before this
	restart   bool      // the next start follows a death: it is logged as a restart

	starting []int // replies due when the child serves, or cannot start
	stopping []int // replies due when nothing runs any more

	gapSince time.Time
	hold     bool // the owner answers on the held sockets
	lastExit *Exit
	stats    Stats
	since    time.Time
	seen     time.Time

	random func() float64

	out []action
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code; a death by signal is 128 + its number.
	Code int `json:"code"`
	// Signal is the signal's name, empty for an exit.
	Signal string `json:"signal,omitempty"`
	// At is when.
	At time.Time `json:"at"`
	// Stderr is the last of what the process wrote to its standard error.
	Stderr string `json:"stderr,omitempty"`
	// Reason: crash, hang, stop, replace, start_failure.
	Reason string `json:"reason"`
	// Pid is the process's id.
	Pid int `json:"pid,omitempty"`
}

// Stats are counters since the supervisor was made.
type Stats struct {
	Starts       uint64
	Restarts     uint64 // starts, or promotions of a standby, that followed a death
	Exits        map[string]uint64
	StartSeconds float64 // of the last start: spawn to readiness
	Gap          time.Duration
}

func newMachine(name string, random func() float64) *machine {
	return &machine{name: name, random: random, stats: Stats{Exits: map[string]uint64{}}}
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

func (m *machine) find(id int) *proc {
	for _, p := range m.procs {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (m *machine) remove(p *proc) {
	m.procs = slices.DeleteFunc(m.procs, func(q *proc) bool { return q == p })
}

// step takes one input at one time and returns what has to be done about it.
func (m *machine) step(now time.Time, in input) []action {
	m.out = nil
	m.wake(now)
	in.apply(m, now)
	m.deadlines(now)
	m.spawn(now)
	m.holding(now)
	return m.out
}

// wake restarts the watchdog periods when this process itself was not running: a
// suspended machine must not murder its children for its own sleep.
func (m *machine) wake(now time.Time) {
	if !m.seen.IsZero() {
		for _, p := range m.procs {
			if w := p.spec.Watchdog; w > 0 && now.Sub(m.seen) > w/2 && !p.lastBeat.IsZero() {
				p.lastBeat = now
			}
		}
	}
	m.seen = now
}

// spawn starts what is missing: the process that is to serve, a replacement,
// spares.
func (m *machine) spawn(now time.Time) {
	if !m.wanted {
		return
	}
	if c := m.candidate; c != nil {
		if !slices.ContainsFunc(m.procs, func(p *proc) bool { return p.gen == c.gen && p.living() }) {
			m.endOldestDrain(now)
			m.start(now, c.spec, c.gen)
		}
		return
	}
	if now.Before(m.nextStart) {
		return
	}
	need := 1 // spares come when somebody serves
	if m.active() != nil {
		need = m.spec.Standby
	}
	for n := m.count(phaseStarting) + m.count(phaseStandby); n < need; n++ {
		m.start(now, m.spec, m.gen)
	}
}

func (m *machine) start(now time.Time, spec *Spec, gen int) {
	if m.hold {
		m.hold = false
		m.do(action{kind: actRelease})
	}
	m.lastID++
	p := &proc{id: m.lastID, gen: gen, spec: spec, phase: phaseStarting, started: now}
	if spec.ReadyTimeout > 0 {
		p.deadline = now.Add(spec.ReadyTimeout)
	}
	m.procs = append(m.procs, p)
	m.stats.Starts++
	if m.restart {
		m.restart = false
		m.stats.Restarts++
		m.log(haRestarting, "restarting child broker")
	}
	m.do(action{kind: actSpawn, id: p.id, spec: spec})
}

// endOldestDrain keeps a new generation from being one too many.
func (m *machine) endOldestDrain(now time.Time) {
	if m.count(phaseActive)+m.count(phaseDraining) < maxGenerations {
		return
	}
	if p := m.first(phaseDraining); p != nil {
		m.force(now, p, exitReplace)
	}
}

// holding decides whether the owner answers users itself: only while the next
// start is more than holdBefore away and nobody else could.
func (m *machine) holding(now time.Time) {
	want := m.wanted && m.active() == nil && m.count(phaseStarting) == 0 && m.count(phaseStandby) == 0 &&
		m.nextStart.Sub(now) > holdBefore
	if want == m.hold {
		return
	}
	m.hold = want
	if want {
		m.do(action{kind: actHold, at: m.nextStart})
	} else {
		m.do(action{kind: actRelease})
	}
}

// holdBefore is how far the next start must be away for the parent to answer
// users itself instead of letting them queue.
const holdBefore = 5 * time.Second

// next is when the machine wants to be asked again though nothing happens; zero
// is never.
func (m *machine) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range m.procs {
		sooner(p.deadline)
		sooner(p.killAt)
		if w := p.spec.Watchdog; w > 0 && !p.lastBeat.IsZero() && p.phase != phaseKilled {
			// Looked at twice in a period, to notice when we were not running.
			sooner(m.seen.Add(w / 3))
			sooner(p.lastBeat.Add(w))
		}
	}
	if m.wanted && m.nextStart.After(m.seen) {
		sooner(m.nextStart)
	}
	return at
}
