// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrHandingOver says that another program is about to take this one's place.
var ErrHandingOver = errors.New("the broker is being upgraded: try again when that is over")

// ErrUnsettled says that a process is starting, or a change or a roll-back under way, which
// a hand-over has to wait for.
var ErrUnsettled = errors.New("a process of the child is starting or being replaced")

type (
	// inFreeze keeps everything as it is, so that it can be handed over: no process is
	// started, ended or told anything until inThaw.
	inFreeze struct{ reply int }
	inThaw   struct{}
	// inResume goes on with the processes that the program before has handed over, and
	// replaces the one that serves.
	inResume struct {
		handed *Handover
		spec   *Spec
		reply  int
	}
)

func (in inFreeze) apply(m *machine, now time.Time) {
	switch {
	case m.frozen:
		m.reply(in.reply, ErrHandingOver)
	case !m.wanted && m.left() > 0, m.candidate != nil, m.doubted(now),
		slices.ContainsFunc(m.procs, func(p *proc) bool {
			return p.lost || len(p.waiting) > 0 || p.phase == phaseStarting && !m.spareOfBefore(p) || p.phase == phaseActive && p.unbound
		}):
		m.reply(in.reply, fmt.Errorf("child %q: %w", m.name, ErrUnsettled))
	default:
		m.commit(now)
		m.frozen = true
		m.reply(in.reply, nil)
	}
}

func (inThaw) apply(m *machine, now time.Time) {
	missed := m.missed
	m.frozen, m.missed = false, nil
	for _, p := range m.procs { // nothing was heard of them
		if !p.lastBeat.IsZero() {
			p.beat(now)
		}
	}
	for _, in := range missed {
		in.apply(m, now)
	}
}

// refuses reports whether a request comes during a hand-over, and answers it then.
func (m *machine) refuses(what string, reply int) bool {
	if m.frozen {
		m.reply(reply, fmt.Errorf("%s child %q: %w", what, m.name, ErrHandingOver))
	}
	return m.frozen
}

// The process that serves goes on until one of this program is ready to.
func (in inResume) apply(m *machine, now time.Time) {
	h := in.handed
	m.lastID, m.lastGn, m.gen = h.LastID, h.LastGeneration, h.Generation
	m.stats, m.lastExit, m.lastFailure = h.Stats.clone(), h.LastExit, h.LastFailure
	m.spec, m.wanted, m.served = in.spec, true, true
	for i := range h.Processes {
		p := h.Processes[i].proc(now)
		m.procs = append(m.procs, p)
		m.do(action{kind: actAdopt, id: p.id, handed: &h.Processes[i]})
	}
	if m.active() == nil {
		if spare := m.first(phaseStandby); spare != nil {
			m.activate(spare)
		}
	}
	if m.active() == nil { // it died meanwhile
		m.adopt(in.spec)
		m.starting = append(m.starting, in.reply)
		return
	}
	m.candidate = &candidate{spec: in.spec, reply: []int{in.reply}, until: now.Add(roomTime)}
}
