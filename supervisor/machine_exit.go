// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
)

func (in inExited) apply(m *machine, now time.Time) {
	p := m.find(in.id)
	if p == nil {
		return
	}
	if m.frozen {
		m.cut(in.exitOf(m, p, now), in.cut) // the next program would not hear of them
		in.cut = nil
		m.missed = append(m.missed, in)
		return
	}
	m.remove(p)
	m.do(action{kind: actLeave, id: p.id})
	m.relieved(p)
	exit := in.exitOf(m, p, now)
	m.cut(exit, in.cut)
	m.stats.Exits[exit.Reason]++
	m.lastExit = exit
	if c := m.candidate; !exit.Planned() && (c == nil || p.gen != c.gen) { // a replacement that fails is no crash, and hides none
		m.lastFailure = exit
	}
	if p.pid != 0 {
		m.log(halog.Terminated, "child process terminated")
		m.log(halog.ExitCode, fmt.Sprintf("child broker terminated with code %d", exit.Code))
	}
	follows := m.wanted && p.gen == m.gen && !exit.Planned() && !p.lost
	var spare *proc
	if follows {
		spare = m.postpone(now, p, exit)
	}
	m.tellExited(now, p, exit, follows, spare)
	m.packets()

	failed := &exits.StartError{Child: m.name, Exit: *exit, Cause: exit.Error}
	if in.said != "" || p.refused != "" { // which says it all
		failed.Exit.Stderr = ""
	}
	if c := m.candidate; c != nil && p.gen == c.gen { // it was never ready: the old generation goes on
		m.candidateFailed(c, failed)
	}
	if follows {
		m.died(p, failed, spare)
	}
	m.ended(failed)
}

// ended does what the end of a process, or of waiting for it, leaves to do; failed
// is what it means for those who wait for the child to serve.
func (m *machine) ended(failed error) {
	switch {
	case m.wanted && !m.served && m.candidate == nil && m.left() == 0:
		m.wanted = false // it cannot start
		m.replies(&m.starting, failed)
		fallthrough
	case !m.wanted:
		m.stopped()
	default:
		m.sweep()
	}
}

// postpone decides when the next process is started after one of the running generation is
// gone though it was not asked for, and which spare serves instead of it: nil is none. If it
// was on probation, they are of the configuration before; exit may be nil.
func (m *machine) postpone(now time.Time, p *proc, exit *exits.Exit) (spare *proc) {
	if m.probation != nil {
		m.rollBack(now, exit, m.probation.failed)
		return m.first(phaseStandby)
	}
	if !p.ready.IsZero() && now.Sub(p.ready) >= m.spec.Restart.Reset {
		m.deaths = 0
	}
	m.deaths++
	m.nextStart = now.Add(m.spec.Restart.After(m.deaths, m.random()))
	if m.active() == nil {
		spare = m.first(phaseStandby)
	}
	return spare
}

// died does what was decided about the death of p.
func (m *machine) died(p *proc, failed error, spare *proc) {
	if p.ready.IsZero() {
		m.replies(&m.starting, failed)
	}
	m.restart = true
	if spare != nil {
		after := "death"
		if p.gen != m.gen {
			after = "rollback"
		}
		m.restarting()
		m.activate(spare)
		m.event("broker_child_promoted", spare, map[string]any{"role": string(phaseActive), "after": after})
	}
	m.bereft = true
}

// candidateFailed answers those who wait for a replacement that will not serve.
// What was stopped to make room for it is started again.
func (m *machine) candidateFailed(c *candidate, err error) {
	m.candidate, m.later = m.later, nil
	if c.recedes {
		m.receded(m.seen, err)
	}
	if c.spec.StopFirst && m.wanted && m.served {
		err = fmt.Errorf("%w; %w", err, ErrStoppedFirst)
	}
	m.replies(&c.reply, err)
}

// lose gives up waiting for a process that outlives its SIGKILL, as one that is
// stuck in the kernel does: it must neither keep the child from being restarted,
// nor those who asked for something from being answered. It cannot use anything
// any more.
func (m *machine) lose(now time.Time, p *proc) {
	p.deadline, p.lost, p.packets = time.Time{}, true, false
	m.do(action{kind: actLeave, id: p.id})
	m.packets()
	m.relieved(p)
	failed := fmt.Errorf("starting child %q: process %d is not ready and cannot be killed", m.name, p.pid)
	if c := m.candidate; c != nil && p.gen == c.gen {
		m.candidateFailed(c, failed)
	}
	if m.wanted && p.gen == m.gen && !exits.Planned(p.cause) {
		m.died(p, failed, m.postpone(now, p, nil))
	}
	m.ended(failed)
}

// stopped answers those who wait for the end, when it has come.
func (m *machine) stopped() {
	if m.left() > 0 {
		return
	}
	m.do(action{kind: actCloseSockets})
	if len(m.stopping) > 0 {
		m.tell("broker_child_stopped", map[string]any{"child": m.name})
	}
	var err error
	if len(m.procs) > 0 {
		err = fmt.Errorf("stopping child %q: process %d cannot be killed; it is left to the system", m.name, m.procs[0].pid)
	}
	m.replies(&m.stopping, err)
}
