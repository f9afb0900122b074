// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"
)

const (
	// dumpTime is what a hung process gets to write its goroutine dump before SIGKILL.
	dumpTime = time.Second
	// forceTime is what a forced stop takes at most before SIGKILL.
	forceTime = 500 * time.Millisecond
	// endTime is what a process without users, and one whose drain or stop is
	// over, gets to end by itself.
	endTime = 2 * time.Second
)

func (m *machine) activate(now time.Time, p *proc) {
	p.phase = phaseActive
	if !m.gapSince.IsZero() {
		m.stats.Gap += now.Sub(m.gapSince)
		m.gapSince = time.Time{}
	}
	m.since = now
	m.log(haSupervise, "waiting child process termination")
	m.do(action{kind: actSend, id: p.id, msg: message{Kind: msgActivate}})
	m.packets()
	m.do(action{kind: actSweep})
}

// packets lets the active process read datagram sockets once nobody else does:
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
	m.do(action{kind: actSend, id: p.id, msg: message{Kind: msgPackets}})
}

// drain tells a replaced process to finish what is in progress.
func (m *machine) drain(now time.Time, p *proc) {
	p.phase, p.cause = phaseDraining, exitReplace
	if t := p.spec.DrainTimeout; t > 0 {
		p.deadline = now.Add(t + endTime)
	}
	m.do(action{kind: actSend, id: p.id, msg: message{Kind: msgDrain, Timeout: p.spec.DrainTimeout}})
}

// stop tells a process to stop in order. One without users has endTime for it.
func (m *machine) stop(now time.Time, p *proc, cause string) {
	if !p.living() {
		return
	}
	serving := p.phase == phaseActive || p.phase == phaseDraining
	if p.cause == "" {
		p.cause = cause
	}
	wasStarting := p.phase == phaseStarting
	p.phase, p.deadline = phaseStopping, time.Time{}
	switch {
	case !serving:
		p.killAt = now.Add(endTime)
	case p.spec.StopTimeout > 0:
		p.deadline = now.Add(p.spec.StopTimeout)
	}
	if wasStarting {
		m.do(action{kind: actSignal, id: p.id, signal: sigTerm})
		return
	}
	m.do(action{kind: actSend, id: p.id, msg: message{Kind: msgStop, Mode: Immediate}})
}

// force cuts everything.
func (m *machine) force(now time.Time, p *proc, cause string) {
	if p.phase == phaseKilled {
		return
	}
	if p.cause == "" {
		p.cause = cause
	}
	p.phase, p.deadline, p.killAt = phaseKilled, time.Time{}, now.Add(forceTime)
	m.do(action{kind: actSend, id: p.id, msg: message{Kind: msgStop, Mode: Force}})
}

// kill ends a process that serves nobody, at once.
func (m *machine) kill(_ time.Time, p *proc, cause string) {
	p.phase, p.cause, p.deadline, p.killAt = phaseKilled, cause, time.Time{}, time.Time{}
	m.do(action{kind: actSignal, id: p.id, signal: sigKill})
}

// abort ends a process that hangs, with a goroutine dump.
func (m *machine) abort(now time.Time, p *proc, cause string) {
	p.phase, p.cause, p.deadline, p.killAt = phaseKilled, cause, time.Time{}, now.Add(dumpTime)
	m.do(action{kind: actSignal, id: p.id, signal: sigAbort})
}

// deadlines carries out what is due.
func (m *machine) deadlines(now time.Time) {
	for _, p := range m.procs {
		if !p.killAt.IsZero() && !now.Before(p.killAt) {
			p.killAt = time.Time{}
			p.phase = phaseKilled
			m.do(action{kind: actSignal, id: p.id, signal: sigKill})
		}
		if w := p.spec.Watchdog; w > 0 && !p.lastBeat.IsZero() && p.phase != phaseKilled && now.Sub(p.lastBeat) >= w {
			m.hung(now, p)
			continue
		}
		if p.deadline.IsZero() || now.Before(p.deadline) {
			continue
		}
		switch p.phase {
		case phaseStarting:
			m.abort(now, p, exitStartFailure)
		case phaseDraining, phaseStopping:
			m.force(now, p, p.cause)
		}
	}
}

// hung is the watchdog's verdict. A process that was being stopped or replaced
// anyway keeps that as its reason.
func (m *machine) hung(now time.Time, p *proc) {
	if p.cause == "" {
		p.cause = exitHang
	}
	m.abort(now, p, p.cause)
}

func (in inExited) apply(m *machine, now time.Time) {
	p := m.find(in.id)
	if p == nil {
		return
	}
	was := p.phase
	m.remove(p)
	exit := in.exit
	exit.At, exit.Pid, exit.Reason = now, p.pid, p.cause
	if exit.Reason == "" {
		exit.Reason = exitCrash
		if p.ready.IsZero() {
			exit.Reason = exitStartFailure
		}
	}
	m.stats.Exits[exit.Reason]++
	m.lastExit = &exit
	if p.pid != 0 {
		m.log(haTerminated, "child process terminated")
		m.log(haExitCode, fmt.Sprintf("child broker terminated with code %d", exit.Code))
	}
	m.event("broker_child_exited", p, map[string]any{"code": exit.Code, "signal": exit.Signal, "reason": exit.Reason})
	m.packets()

	failed := &StartError{Child: m.name, Exit: exit, Cause: in.said}
	if p.cause == exitStartFailure && failed.Cause == "" {
		failed.Cause = fmt.Sprintf("not ready within %s", p.spec.ReadyTimeout)
	}
	if c := m.candidate; c != nil && p.gen == c.gen && p.ready.IsZero() {
		m.candidate = nil
		m.replies(&c.reply, failed)
	}
	if !m.wanted {
		m.stopped()
		return
	}
	if exit.Reason == exitStop || exit.Reason == exitReplace {
		m.do(action{kind: actSweep})
		return
	}
	m.died(now, p, was, failed)
}

// died decides what follows a death that nobody asked for.
func (m *machine) died(now time.Time, p *proc, was phase, failed *StartError) {
	if p.ready.IsZero() {
		m.replies(&m.starting, failed)
		if !m.everReady && len(m.procs) == 0 {
			m.wanted = false
			m.since = now
			m.stopped()
			return
		}
		if p.gen != m.gen { // a replacement that never served; the old generation goes on
			m.do(action{kind: actSweep})
			if m.active() != nil {
				return
			}
		}
	} else if now.Sub(p.ready) >= m.spec.Restart.Reset {
		m.deaths = 0
	}
	if was != phaseDraining {
		m.deaths++
		m.nextStart = now.Add(m.spec.Restart.after(m.deaths, m.random()))
		m.restart = true
	}
	if m.active() == nil && m.gapSince.IsZero() {
		m.gapSince = now
		m.since = now
	}
	if m.active() == nil {
		if spare := m.first(phaseStandby); spare != nil {
			m.log(haRestarting, "restarting child broker")
			m.restart = false
			m.stats.Restarts++
			m.activate(now, spare)
			m.event("broker_child_promoted", spare, nil)
		}
	}
}

// stopped answers those who wait for the end.
func (m *machine) stopped() {
	if len(m.procs) > 0 {
		return
	}
	m.do(action{kind: actCloseSockets})
	if len(m.stopping) > 0 {
		m.do(action{kind: actEvent, event: Event{Name: "broker_child_stopped", Data: map[string]any{"child": m.name}}})
	}
	m.replies(&m.stopping, nil)
}
