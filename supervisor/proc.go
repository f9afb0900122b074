// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
)

// phase is where one process is in its life.
type phase string

const (
	phaseStarting phase = "starting" // spawned, not ready
	phaseProving  phase = "ready"    // a candidate, ready and gated, that proves itself
	phaseStandby  phase = "standby"  // ready, gated
	phaseActive   phase = "active"   // accepting
	phaseDraining phase = "draining" // replaced, finishes what is in progress
	phaseStopping phase = "stopping" // told to stop
	phaseKilled   phase = "killed"   // cut, or signalled to death
)

// proc is one process, as the machine sees it. cause says why it was ended;
// empty means that its exit is its own doing.
type proc struct {
	id      int
	gen     int
	spec    *Spec
	pid     int
	phase   phase
	role    string // of Exit, from before its end was begun
	cause   string
	packets bool   // may read datagram sockets
	unbound bool   // has no sockets, until it serves and has said so
	lost    bool   // SIGKILL does not end it: it is not waited for any more
	broken  string // why nothing can be heard of it any more; empty while it can
	refused string // why it was not let serve; empty if it was

	started  time.Time
	ready    time.Time
	lastBeat time.Time // zero: it is not watched
	silent   bool      // and it was told that nothing is heard of it
	stopped  bool      // a signal had stopped it when it was looked at last
	lookAt   time.Time // when it may be looked at next
	deadline time.Time // of the phase; zero is none
	killAt   time.Time // SIGKILL then; zero is never
	settleAt time.Time // it counts among those that serve at the same time until then; zero before it is replaced, and after
	settled  bool      // it was replaced so long ago that it does not

	waiting []int     // replies due when it accepts nothing any more
	leaveBy time.Time // and then at the latest; zero while there are none
}

// beat notes a sign of life.
func (p *proc) beat(now time.Time) { p.lastBeat, p.stopped, p.lookAt = now, false, time.Time{} }

// living reports whether nothing was done yet to end p.
func (p *proc) living() bool { return p.phase != phaseStopping && p.phase != phaseKilled }

const (
	// dumpTime is what a hung process gets to write its goroutine dump before SIGKILL.
	dumpTime = time.Second
	// forceTime is what a forced stop takes at most before SIGKILL.
	forceTime = 500 * time.Millisecond
	// endTime is what a process without users, and one whose drain or stop is
	// over, gets to end by itself.
	endTime = 2 * time.Second
	// leaveTime is what a replaced process gets to say that it accepts nothing any
	// more, before those who wait for that are answered without it.
	leaveTime = 5 * time.Second
	// lostTime is how long a process may outlive its SIGKILL, in the depths of the
	// kernel, before another one is started in its place.
	lostTime = 5 * time.Second
)

func (m *machine) activate(p *proc) {
	p.phase = phaseActive
	m.log(halog.Supervise, "waiting child process termination")
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindActivate}})
	m.packets()
	m.sweep()
}

// packets lets the active process read datagram sockets once no other one does:
// two readers of one socket would tear HTTP/3 connections apart.
func (m *machine) packets() {
	p := m.active()
	if p == nil || p.packets {
		return
	}
	for _, q := range m.procs {
		if q.packets {
			return
		}
	}
	p.packets = true
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindPackets}})
}

// unbind takes the sockets from a process that waits to come back: on an address that
// what serves does not have, users would wait for it in vain. It takes them again when it
// is activated.
func (m *machine) unbind(p *proc) {
	if p.unbound || p.spec.External {
		return
	}
	p.unbound = true
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindUnbind}})
	m.do(action{kind: actLeave, id: p.id})
}

// sweep closes the sockets that no process uses. While no process is active, or that has
// not taken its sockets yet, all are kept: users are queueing there.
func (m *machine) sweep() {
	for _, p := range m.procs {
		if p.phase == phaseActive && p.unbound {
			return
		}
	}
	if m.active() != nil {
		m.do(action{kind: actSweep})
	}
}

// drain tells a replaced process to finish what is in progress. One generation
// too many ends the oldest drain early: what only waits to receive is cut, requests
// in progress finish.
func (m *machine) drain(now time.Time, p *proc) {
	p.phase, p.cause = phaseDraining, exits.Replace
	if t := p.spec.DrainTimeout; t > 0 {
		p.deadline = now.Add(t + endTime)
	}
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindDrain, Timeout: p.spec.DrainTimeout}})
	// It accepts no more: a socket that only it had would be a dead end.
	m.do(action{kind: actLeave, id: p.id})
	m.sweep()
	p.settleAt = now.Add(settleTime)
	m.limit(now, m.maxGenerations())
}

// relieve drains a process that is replaced. Those who asked for it are answered
// when no new connection is served by the old process any more: it may be what they
// look at next. Other programs do not say when that is.
func (m *machine) relieve(now time.Time, p *proc, replies []int) {
	m.drain(now, p)
	if p.spec.External {
		m.replies(&replies, nil)
		return
	}
	p.waiting, p.leaveBy = replies, now.Add(leaveTime)
}

// relieved answers those who wait for a process to accept nothing any more.
func (m *machine) relieved(p *proc) {
	p.leaveBy = time.Time{}
	m.replies(&p.waiting, nil)
}

// stop tells a process to stop in order. One without users has endTime for it.
func (m *machine) stop(now time.Time, p *proc, cause string) {
	if !p.living() {
		return
	}
	if p.cause == "" {
		p.cause = cause
	}
	was := p.phase
	p.role = m.role(p)
	p.phase = phaseStopping
	switch {
	case was != phaseActive && was != phaseDraining:
		p.deadline, p.killAt = time.Time{}, now.Add(endTime)
	case p.spec.StopTimeout > 0:
		if over := now.Add(p.spec.StopTimeout); p.deadline.IsZero() || over.Before(p.deadline) {
			p.deadline = over
		}
	}
	if was == phaseStarting { // it may not listen to us yet
		m.do(action{kind: actSignal, id: p.id, signal: sigTerm})
		return
	}
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindStop, Mode: control.Immediate}})
}

// clear ends all processes, so that one can start that must be alone, and reports
// whether none is left. What serves finishes its requests in progress, for as long
// as a drain may take; what only waits to receive is cut.
func (m *machine) clear(now time.Time) bool {
	for _, p := range m.procs {
		switch {
		case p.phase == phaseStarting:
			m.kill(now, p, exits.Replace)
		case p.living():
			m.stop(now, p, exits.Replace)
			if t := p.spec.DrainTimeout; t > 0 && p.killAt.IsZero() {
				if over := now.Add(t + endTime); p.deadline.IsZero() || over.Before(p.deadline) {
					p.deadline = over
				}
			}
		}
	}
	return m.left() == 0
}

// force cuts everything.
func (m *machine) force(now time.Time, p *proc, cause string) {
	if p.phase == phaseKilled {
		return
	}
	p.role = m.role(p)
	if p.cause == "" {
		p.cause = cause
	}
	p.phase, p.deadline, p.killAt = phaseKilled, time.Time{}, now.Add(forceTime)
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindStop, Mode: control.Force}})
}

// hangs notes that nothing is heard of a process.
func (m *machine) hangs(now time.Time, p *proc) {
	if p.broken == "" && !p.lastBeat.IsZero() {
		p.broken = fmt.Sprintf("no heartbeat for %s", now.Sub(p.lastBeat).Round(time.Second)) // its dump only shows what it did meanwhile
	}
	if p.phase == phaseActive {
		m.gapSince = p.lastBeat // it has served no one since then, as far as is known
	}
}

// abort ends a process that hangs, with a goroutine dump.
func (m *machine) abort(now time.Time, p *proc, cause string) {
	p.role = m.role(p)
	if p.cause == "" {
		p.cause = cause
	}
	if cause == exits.Hang {
		m.hangs(now, p)
	}
	p.phase, p.deadline, p.killAt = phaseKilled, time.Time{}, now.Add(dumpTime)
	m.do(action{kind: actSignal, id: p.id, signal: sigAbort})
}

// kill ends a process at once.
func (m *machine) kill(now time.Time, p *proc, cause string) {
	p.role = m.role(p)
	if p.cause == "" {
		p.cause = cause
	}
	p.phase, p.deadline, p.killAt = phaseKilled, now.Add(lostTime), time.Time{}
	m.do(action{kind: actSignal, id: p.id, signal: sigKill})
}

// deadlines carries out what is due.
func (m *machine) deadlines(now time.Time) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	for _, p := range m.procs {
		if due(p.leaveBy) {
			m.relieved(p)
		}
		m.silence(now, p)
		switch {
		case due(p.killAt):
			m.kill(now, p, p.cause)
		case p.phase == phaseKilled:
			if due(p.deadline) {
				m.lose(now, p)
			}
		case p.spec.Watchdog > 0 && !p.lastBeat.IsZero() && due(p.lastBeat.Add(p.spec.Watchdog)):
			m.abort(now, p, exits.Hang)
		case !due(p.deadline):
		case p.phase == phaseStarting:
			m.abort(now, p, exits.StartFailure)
		case p.phase == phaseProving:
			m.unproved(now, p, fmt.Sprintf("it has not said within %s whether it would", p.spec.ProveTimeout))
		default: // a drain or a stop is over
			m.force(now, p, p.cause)
		}
	}
}
