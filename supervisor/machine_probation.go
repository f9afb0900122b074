// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
)

// probation is the time after a process of another spec has come to serve, in which what
// served before comes back if the new one does not serve well. The spares meanwhile are
// processes of the spec before: those that there were, or else one that is started.
type probation struct {
	good    *Spec          // what served before
	gen     int            // the generation of its spares
	until   time.Time      // it is over with the first sign of life from then on
	probeAt time.Time      // when the active process is asked to probe itself next; zero while it does
	spared  bool           // a spare was started, which is done once
	before  answers.Counts // of the last minute before it
	failed  string         // why what served before shall come back; empty as long as all is well
}

// probeEvery is the time between two probes of a process on probation.
const probeEvery = time.Second

// RolledBack says that a spec did not serve well, so that the one before serves again.
type RolledBack struct {
	From, To *Spec
	// Exit is how the process of From ended; nil if it did not end by itself.
	Exit *exits.Exit
	// Why is what else there was against it.
	Why string
}

type (
	// inProbed is what a process that serves says of the probes on it; failed is empty
	// if they were answered as expected.
	inProbed struct {
		id     int
		failed string
	}
	// inAnswers is what a process has answered since it was started, once a second.
	inAnswers struct {
		id     int
		counts answers.Counts
	}
	// inLooked is whether a signal has stopped a process that was looked at.
	inLooked struct {
		id      int
		stopped bool
	}
)

func (in inProbed) apply(m *machine, now time.Time) {
	if pr := m.probation; pr != nil && m.doubt(in.id, in.failed) {
		pr.probeAt = now.Add(probeEvery)
	}
}

func (in inAnswers) apply(m *machine, _ time.Time) {
	if p := m.active(); p == nil || p.id != in.id {
		return
	}
	m.lately.Sample(in.id, in.counts)
	if pr := m.probation; pr != nil {
		m.doubt(in.id, m.spec.Errors.Exceeded(pr.before, in.counts))
	}
}

// A process on probation that a signal has stopped is not waited for as long as one that
// may only be late: twice in a row is enough.
func (in inLooked) apply(m *machine, now time.Time) {
	p := m.active()
	if p == nil || p.id != in.id {
		return
	}
	if in.stopped && p.stopped {
		p.broken = "no heartbeat, and a signal has stopped it"
		m.hangs(now, p)
		m.kill(now, p, exits.Hang) // what it did when it was stopped says nothing
	}
	p.stopped = in.stopped
}

const (
	// lateTime is for how long nothing may be heard of a process on probation before it is
	// looked at. It gives a sign of life each second.
	lateTime = 1200 * time.Millisecond
	// lookEvery is the time between two looks at it.
	lookEvery = 400 * time.Millisecond
)

// nextLook is when the process is to be looked at if nothing is heard of it; zero is never.
func (p *proc) nextLook() time.Time {
	if p.spec.Watchdog <= 0 || p.spec.External || p.lastBeat.IsZero() {
		return time.Time{}
	}
	if late := p.lastBeat.Add(lateTime); late.After(p.lookAt) {
		return late
	}
	return p.lookAt
}

// doubt notes what is wrong with a process, empty is nothing, and reports whether it is
// the one on probation.
func (m *machine) doubt(id int, why string) bool {
	p := m.active()
	if m.probation == nil || p == nil || p.id != id || m.frozen {
		return false
	}
	if m.probation.failed == "" {
		m.probation.failed = why
	}
	return true
}

// tryOut begins the probation of m.spec, which has come to serve instead of another spec
// that did; before and gen are what it was. Where that was on probation itself, what
// served before both is what comes back.
func (m *machine) tryOut(now time.Time, before *Spec, gen int, served bool) {
	pr := m.probation
	if m.spec.Equal(before) { // a restart
		if pr != nil {
			pr.probeAt = now.Add(probeEvery)
		}
		return
	}
	good, counts := before, m.lately.Lately()
	if pr != nil {
		good, gen, counts, served = pr.good, pr.gen, pr.before, true
	}
	m.probation = nil
	if served && m.spec.Probation > 0 && !m.spec.Equal(good) {
		m.probation = &probation{good: good, gen: gen, until: now.Add(m.spec.Probation), probeAt: now.Add(probeEvery), before: counts}
	}
}

// spareOfBefore reports whether p is there to come back during the probation.
func (m *machine) spareOfBefore(p *proc) bool { return m.probation != nil && p.gen == m.probation.gen }

// unbindSpares takes the sockets from those that are there to come back.
func (m *machine) unbindSpares() {
	if m.probation != nil {
		m.unbindStandbys(m.probation.gen)
	}
}

func (m *machine) unbindStandbys(gen int) {
	for _, p := range m.procs {
		if p.gen == gen && p.phase == phaseStandby {
			m.unbind(p)
		}
	}
}

// keepSpare starts a spare of the spec before where there is none. Where one dies it is
// not started again and again: it is needed for seconds.
func (m *machine) keepSpare(now time.Time) {
	pr := m.probation
	if pr.spared || pr.good.StopFirst || m.spec.StopFirst || pr.good.External || m.spares() > 0 {
		return
	}
	pr.spared = true
	m.start(now, pr.good, pr.gen)
}

// spares counts the processes of the spec before that could come back, soon or now.
func (m *machine) spares() int {
	n := 0
	for _, p := range m.procs {
		if m.spareOfBefore(p) && (p.phase == phaseStarting || p.phase == phaseStandby) {
			n++
		}
	}
	return n
}

// watchProbation asks for probes, and ends the probation when it is time for that. What is
// silent at its end may hang: then its next sign of life, or its end, decides.
func (m *machine) watchProbation(now time.Time) {
	pr, p := m.probation, m.active()
	if pr == nil || p == nil { // its end decides
		return
	}
	if pr.failed != "" {
		m.recede(now, p)
		return
	}
	if at := p.nextLook(); !at.IsZero() && !now.Before(at) {
		p.lookAt = now.Add(lookEvery)
		m.do(action{kind: actLook, id: p.id})
	}
	asks := m.spec.Probe != nil && !p.spec.External
	if asks && !pr.probeAt.IsZero() && !now.Before(pr.probeAt) {
		pr.probeAt = time.Time{}
		m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindProbe, Data: m.spec.Probe}})
	}
	silent := p.spec.Watchdog > 0 && !p.lastBeat.IsZero() && p.lastBeat.Before(pr.until)
	awaited := asks && pr.probeAt.IsZero()
	if !now.Before(pr.until) && !silent && !awaited {
		m.commit(now)
	}
}

// doubted reports whether what is on probation may have to be rolled back for what has
// happened already.
func (m *machine) doubted(now time.Time) bool {
	pr, p := m.probation, m.active()
	if pr == nil {
		return false
	}
	return pr.failed != "" || p == nil || p.stopped || p.spec.Watchdog > 0 && !p.lastBeat.IsZero() && now.Sub(p.lastBeat) >= quiet(p.spec.Watchdog)
}

// commit ends the probation: the spares are those of what serves from now on.
func (m *machine) commit(now time.Time) {
	m.dismiss(now, m.spareOfBefore)
	m.probation = nil
}

// recede lets what served before serve again instead of p, which lives and does not serve
// well: as soon as a spare is ready, or else like any replacement, unless one is under
// way already.
func (m *machine) recede(now time.Time, p *proc) {
	pr := m.probation
	if spare := m.first(phaseStandby); spare != nil {
		m.rollBack(now, nil, pr.failed)
		m.activate(spare)
		m.relieve(now, p, nil)
		m.event("broker_child_replaced", spare, map[string]any{"role": string(phaseActive), "replaced_pid": p.pid})
		return
	}
	if m.spares() == 0 && m.candidate == nil {
		m.candidate = &candidate{spec: pr.good, until: now.Add(roomTime), recedes: true}
	}
}

// receded ends the probation with a process of the spec before that serves, or tells that
// there is none.
func (m *machine) receded(now time.Time, err error) {
	pr := m.probation
	if pr == nil {
		return
	}
	if err == nil {
		m.rollBack(now, nil, pr.failed)
		return
	}
	m.commit(now)
	m.tell("broker_reload_failed", map[string]any{
		"child": m.name,
		"error": fmt.Sprintf("it is to be rolled back (%s), and what served before cannot be started: %v", pr.failed, err),
	})
}

// rollBack makes the spec before the one to run again. What would let the one that failed
// come back is given up; who wants it all the same asks for it again.
func (m *machine) rollBack(now time.Time, exit *exits.Exit, why string) {
	pr := m.probation
	m.log(halog.Restarting, "rolling child broker back to the configuration before")
	m.do(action{kind: actRolledBack, back: &RolledBack{From: m.spec, To: pr.good, Exit: exit, Why: why}})
	if exit != nil {
		why = cmp.Or(exit.Error, "its process ended: "+exit.Reason)
	}
	m.dismiss(now, func(p *proc) bool { return p.spec.Equal(m.spec) })
	for _, c := range []**candidate{&m.later, &m.candidate} {
		if *c != nil && ((*c).recycles != nil || (*c).spec != nil && (*c).spec.Equal(m.spec)) {
			m.replies(&(*c).reply, fmt.Errorf("replacing child %q: %w: %s", m.name, ErrRolledBack, cmp.Or(why, "its process cannot be ended")))
			*c = nil
		}
	}
	if m.candidate == nil {
		m.candidate, m.later = m.later, nil
	}
	m.spec, m.gen, m.probation = pr.good, pr.gen, nil
	m.deaths, m.nextStart, m.restart = 0, now, false
	m.memory.Renew()
}
