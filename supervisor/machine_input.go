// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"time"
)

// Errors of requests to a supervisor.
var (
	// ErrStopped: the child is not running and not wanted.
	ErrStopped = errors.New("child is stopped")
	// ErrRunning: the child is running already.
	ErrRunning = errors.New("child is already running")
	// ErrNoStandby: there is no ready spare to promote.
	ErrNoStandby = errors.New("child has no ready standby")
	// ErrSuperseded: a newer replacement took this one's place.
	ErrSuperseded = errors.New("superseded by a stop")
)

// StartError says that a child ended, or was ended, before it was ready.
type StartError struct {
	Child string
	Exit  Exit
	// Cause is what the child said, or why it was ended.
	Cause string
}

func (e *StartError) Error() string {
	how := fmt.Sprintf("exit code %d", e.Exit.Code)
	if e.Exit.Signal != "" {
		how = e.Exit.Signal
	}
	msg := fmt.Sprintf("starting child %q: ended before it was ready (%s)", e.Child, how)
	if e.Cause != "" {
		msg = fmt.Sprintf("starting child %q: %s (%s)", e.Child, e.Cause, how)
	}
	if last := LastLines(e.Exit.Stderr, 3); e.Cause == "" && last != "" {
		msg += ": " + last
	}
	return msg
}

// input is one thing that happened.
type input interface {
	apply(m *machine, now time.Time)
}

type (
	inTick struct{}
	// inStart wants the child to run with spec; with a nil spec, the one it has.
	inStart struct {
		spec  *Spec
		reply int
	}
	// inReplace wants spec to serve instead of what serves; a nil spec is a restart.
	inReplace struct {
		spec  *Spec
		reply int
	}
	// inTune takes over settings that concern no running process; a stopped child
	// stays stopped and starts with them.
	inTune    struct{ spec *Spec }
	inPromote struct{ reply int }
	inStop    struct {
		mode  Mode
		reply int
	}
	inSpawned struct {
		id, pid int
	}
	inReady    struct{ id int }
	inBeat     struct{ id int }
	inHung     struct{ id int } // says itself that it hangs
	inReleased struct{ id int }
	inExited   struct {
		id   int
		exit Exit
		said string
	}
)

func (inTick) apply(*machine, time.Time) {}

func (in inStart) apply(m *machine, now time.Time) {
	if m.wanted {
		m.reply(in.reply, fmt.Errorf("starting child %q: %w", m.name, ErrRunning))
		return
	}
	if in.spec != nil {
		m.adopt(in.spec)
	}
	m.wanted = true
	m.since = now
	m.gapSince = now
	m.deaths = 0
	m.nextStart = time.Time{}
	m.starting = append(m.starting, in.reply)
}

func (m *machine) adopt(spec *Spec) {
	m.spec = spec
	m.lastGn++
	m.gen = m.lastGn
}

func (in inTune) apply(m *machine, now time.Time) {
	if !m.wanted {
		m.adopt(in.spec)
		return
	}
	old := m.spec
	m.spec = in.spec
	for _, p := range m.procs {
		if p.spec == old {
			p.spec = in.spec
		}
	}
	for m.count(phaseStandby) > in.spec.Standby {
		m.stop(now, m.first(phaseStandby), exitStop)
	}
	if in.spec.Restart != old.Restart && now.Before(m.nextStart) {
		m.nextStart = now.Add(in.spec.Restart.after(m.deaths, m.random()))
	}
}

func (in inReplace) apply(m *machine, now time.Time) {
	if !m.wanted {
		m.reply(in.reply, fmt.Errorf("replacing child %q: %w", m.name, ErrStopped))
		return
	}
	spec := in.spec
	if spec == nil {
		spec = m.spec
		if m.candidate != nil {
			spec = m.candidate.spec
		}
	}
	m.lastGn++
	next := &candidate{spec: spec, gen: m.lastGn, reply: []int{in.reply}}
	if c := m.candidate; c != nil {
		// Reloads faster than a start come together: the newest is what serves.
		next.reply = append(c.reply, in.reply)
		for _, p := range m.procs {
			if p.gen == c.gen && p.phase == phaseStarting {
				m.kill(now, p, exitReplace)
			}
		}
	}
	m.candidate = next
	m.nextStart = time.Time{}
	m.deaths = 0
	m.restart = false
	// What is only starting for the old generation is in the way.
	for _, p := range m.procs {
		if p.gen == m.gen && p.phase == phaseStarting {
			m.kill(now, p, exitReplace)
		}
	}
}

func (in inPromote) apply(m *machine, now time.Time) {
	p := m.first(phaseStandby)
	switch {
	case !m.wanted:
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrStopped))
	case p == nil:
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrNoStandby))
	default:
		old := m.active()
		m.activate(now, p)
		m.event("broker_child_promoted", p, nil)
		if old != nil {
			m.drain(now, old)
		}
		m.reply(in.reply, nil)
	}
}

func (in inStop) apply(m *machine, now time.Time) {
	if !m.wanted && len(m.procs) == 0 {
		m.reply(in.reply, fmt.Errorf("stopping child %q: %w", m.name, ErrStopped))
		return
	}
	m.wanted = false
	m.since = now
	m.nextStart = time.Time{}
	m.restart = false
	// Nobody will accept from them, and somebody else may serve there already.
	m.do(action{kind: actCloseSockets})
	m.gapSince = time.Time{}
	m.replies(&m.starting, fmt.Errorf("starting child %q: %w", m.name, ErrSuperseded))
	if c := m.candidate; c != nil {
		m.candidate = nil
		m.replies(&c.reply, fmt.Errorf("replacing child %q: %w", m.name, ErrSuperseded))
	}
	for _, p := range m.procs {
		if in.mode == Force {
			m.force(now, p, exitStop)
		} else {
			m.stop(now, p, exitStop)
		}
	}
	m.stopping = append(m.stopping, in.reply)
	m.stopped()
}

func (in inSpawned) apply(m *machine, _ time.Time) {
	if p := m.find(in.id); p != nil {
		p.pid = in.pid
		m.log(haCreated, fmt.Sprintf("[HA] success creating child process for broker ha worker, pid=%d", in.pid))
		m.log(haWaiting, "waiting notification from child process")
		m.event("broker_child_started", p, nil)
	}
}

func (in inBeat) apply(m *machine, now time.Time) {
	if p := m.find(in.id); p != nil {
		p.lastBeat = now
	}
}

func (in inHung) apply(m *machine, now time.Time) {
	if p := m.find(in.id); p != nil && p.phase != phaseKilled {
		m.hung(now, p)
	}
}

func (in inReleased) apply(m *machine, _ time.Time) {
	if p := m.find(in.id); p != nil {
		p.packets = false
		m.packets()
	}
}

func (in inReady) apply(m *machine, now time.Time) {
	p := m.find(in.id)
	if p == nil || p.phase != phaseStarting {
		return
	}
	p.phase, p.ready, p.deadline = phaseStandby, now, time.Time{}
	if !p.spec.External { // others are watched from their first heartbeat on
		p.lastBeat = now
	}
	m.stats.StartSeconds = now.Sub(p.started).Seconds()
	m.everReady = true
	m.log(haRunning, "ok, broker child is running")
	m.event("broker_child_ready", p, nil)

	old := m.active()
	if c := m.candidate; c != nil && p.gen == c.gen {
		m.spec, m.gen, m.candidate = c.spec, c.gen, nil
		for _, q := range m.procs {
			if q.gen != m.gen && q.phase == phaseStandby {
				m.stop(now, q, exitReplace)
			}
		}
		m.activate(now, p)
		if old != nil {
			m.drain(now, old)
			m.event("broker_child_replaced", p, map[string]any{"replaced_pid": old.pid})
		}
		m.replies(&c.reply, nil)
		m.replies(&m.starting, nil)
		return
	}
	if old == nil {
		m.activate(now, p)
		m.replies(&m.starting, nil)
	}
}
