// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Errors of requests to a supervisor.
var (
	// ErrStopped: the child is not running and not wanted.
	ErrStopped = errors.New("child is stopped")
	// ErrStopping: the child was told to stop and has not ended yet.
	ErrStopping = errors.New("child is stopping: wait for it, or stop it with mode force")
	// ErrRunning: the child is running already.
	ErrRunning = errors.New("child is already running")
	// ErrNoStandby: there is no ready spare to promote.
	ErrNoStandby = errors.New("child has no ready standby")
	// ErrProbation: the spares are of the configuration before.
	ErrProbation = errors.New("what serves is on probation, and the standby has the configuration before: wait until that is over")
	// ErrRolledBack: what was to be started again has given way to the spec before.
	ErrRolledBack = errors.New("it was rolled back meanwhile")
	// ErrSuperseded: the child was stopped before it served.
	ErrSuperseded = errors.New("superseded by a stop")
	// ErrStoppedFirst is part of the error of a replacement that failed when what ran
	// before was stopped already, because both could not run side by side.
	ErrStoppedFirst = errors.New("what ran before was stopped first and is started again")
	// ErrCrowded: so many processes still finish requests that no other one is started
	// beside them.
	ErrCrowded = errors.New("too many processes still finish the requests that they had when they were replaced: wait for them, lower drain_timeout or raise max_drains")
	// ErrClosed: the supervisor is.
	ErrClosed = errors.New("supervisor is closed")
)

type (
	// inStart wants the child to run with spec; with a nil spec, the one it has.
	inStart struct {
		spec  *Spec
		reply int
	}
	// inTune takes over settings that concern no running process; a stopped child
	// stays stopped and starts with them.
	inTune    struct{ from, spec *Spec }
	inPromote struct{ reply int }
	inStop    struct {
		mode  control.Mode
		reply int
	}
	// inClose ends it all, by force and for ever.
	inClose struct{}
)

func (in inStart) apply(m *machine, now time.Time) {
	var err error
	switch {
	case !m.frozen && !m.closed && in.spec == nil && m.pausing(now):
		m.deaths, m.nextStart = 0, time.Time{} // the operator does not want to wait for it
		m.starting = append(m.starting, in.reply)
		return
	case m.frozen:
		err = ErrHandingOver
	case m.closed:
		err = ErrClosed
	case m.wanted:
		err = ErrRunning
	case m.left() > 0:
		err = ErrStopping
	case in.spec == nil && m.spec == nil:
		err = errors.New("there is nothing to run")
	}
	if err != nil {
		m.reply(in.reply, fmt.Errorf("starting child %q: %w", m.name, err))
		return
	}
	if in.spec != nil {
		m.adopt(in.spec)
	}
	m.wanted, m.served = true, false
	m.deaths, m.nextStart, m.restart, m.lacking = 0, time.Time{}, false, false
	m.starting = append(m.starting, in.reply)
}

// pausing reports whether the child is to run, and nothing of it does before the next start.
func (m *machine) pausing(now time.Time) bool {
	return m.wanted && m.candidate == nil && m.left() == 0 && now.Before(m.nextStart)
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
	if m.spec != in.from { // it was rolled back meanwhile
		return
	}
	old := m.spec
	m.spec = in.spec
	for _, p := range m.procs {
		if p.spec == old {
			p.spec = in.spec
		}
	}
	for _, c := range []*candidate{m.candidate, m.later} {
		if c != nil && c.spec == old { // a restart under way
			c.spec = in.spec
		}
	}
	m.dismissSpares(now)
	if in.spec.Restart != old.Restart && now.Before(m.nextStart) {
		m.nextStart = now.Add(in.spec.Restart.After(m.deaths, m.random()))
	}
}

// dismissSpares ends the spares that are too many while a process serves.
func (m *machine) dismissSpares(now time.Time) {
	for m.active() != nil && m.probation == nil && m.count(phaseStandby) > m.spec.Standby {
		m.stop(now, m.first(phaseStandby), exits.Stop)
	}
}

func (in inPromote) apply(m *machine, now time.Time) {
	p, old := m.first(phaseStandby), m.active()
	switch {
	case m.refuses("promoting standby of", in.reply):
	case !m.wanted:
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrStopped))
	case m.probation != nil:
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrProbation))
	case p == nil:
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrNoStandby))
	case m.crowded():
		m.reply(in.reply, fmt.Errorf("promoting standby of child %q: %w", m.name, ErrCrowded))
	default:
		m.activate(p)
		m.event("broker_child_promoted", p, map[string]any{"role": string(phaseActive), "after": "order"})
		if old == nil {
			m.reply(in.reply, nil)
			return
		}
		m.relieve(now, old, []int{in.reply})
	}
}

func (in inStop) apply(m *machine, now time.Time) {
	if m.refuses("stopping", in.reply) {
		return
	}
	if !m.wanted && m.left() == 0 {
		m.reply(in.reply, fmt.Errorf("stopping child %q: %w", m.name, ErrStopped))
		return
	}
	m.stopping = append(m.stopping, in.reply)
	m.stopAll(now, in.mode)
}

func (in inClose) apply(m *machine, now time.Time) {
	inThaw{}.apply(m, now)
	m.closed = true
	m.stopAll(now, control.Force)
}

func (m *machine) stopAll(now time.Time, mode control.Mode) {
	m.wanted, m.probation = false, nil
	// No process will accept from them, and another program may serve there already.
	m.do(action{kind: actCloseSockets})
	m.replies(&m.starting, fmt.Errorf("starting child %q: %w", m.name, ErrSuperseded))
	for _, c := range []*candidate{m.candidate, m.later} {
		if c != nil {
			m.replies(&c.reply, fmt.Errorf("replacing child %q: %w", m.name, ErrSuperseded))
		}
	}
	m.candidate, m.later = nil, nil
	for _, p := range m.procs {
		if mode == control.Force {
			m.force(now, p, exits.Stop)
		} else {
			m.stop(now, p, exits.Stop)
		}
	}
	m.stopped()
}
