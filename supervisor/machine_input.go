// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
)

// input is one thing that happened.
type input interface {
	apply(m *machine, now time.Time)
}

// What is heard of processes; requests are in request.go, exits in machine_exit.go.
type (
	inTick    struct{}
	inSpawned struct {
		id, pid int
	}
	inReady struct {
		id  int
		own int64 // what it has of memory for itself, in bytes; 0 is not known
	}
	inBeat struct{ id int }
	// inHung is a process that says itself that it hangs.
	inHung struct{ id int }
	// inBroken is a process that lives and whose control connection has ended.
	inBroken struct {
		id  int
		why string
	}
	// inReleased is a draining process that accepts nothing any more, and reads no
	// datagram socket.
	inReleased struct{ id int }
	// inBound is a process that was activated without sockets and has them.
	inBound  struct{ id int }
	inExited struct {
		id   int
		exit exits.Exit
		said string // by the process, about why it would end
		oom  bool   // the system had no memory left for it
		cut  []account.Request
	}
	// inTell is something that every process shall hear from the parent's user.
	inTell struct {
		topic string
		data  json.RawMessage
	}
)

func (inTick) apply(*machine, time.Time) {}

func (in inSpawned) apply(m *machine, _ time.Time) {
	if p := m.find(in.id); p != nil {
		p.pid = in.pid
		m.log(halog.Created, fmt.Sprintf("[HA] success creating child process for broker ha worker, pid=%d", in.pid))
		m.log(halog.Waiting, "waiting notification from child process")
		m.event("broker_child_started", p, map[string]any{"role": m.role(p)})
	}
}

func (in inBeat) apply(m *machine, now time.Time) {
	if p := m.find(in.id); p != nil {
		p.beat(now)
	}
}

func (in inHung) apply(m *machine, now time.Time) {
	if p := m.find(in.id); p != nil && p.phase != phaseKilled {
		m.abort(now, p, exits.Hang)
	}
}

// A process of which nothing is heard any more cannot be told anything either: it
// would serve until the watchdog ends it, and nobody would know why.
func (in inBroken) apply(m *machine, now time.Time) {
	p := m.find(in.id)
	if p == nil || p.phase == phaseKilled {
		return
	}
	p.broken = in.why
	m.stats.Broken++
	cause := exits.Crash
	if p.ready.IsZero() {
		cause = exits.StartFailure
	}
	m.kill(now, p, cause)
}

func (in inReleased) apply(m *machine, _ time.Time) {
	if p := m.find(in.id); p != nil && p.phase != phaseActive {
		p.packets = false
		m.packets()
		m.relieved(p)
	}
}

func (in inBound) apply(m *machine, _ time.Time) {
	if p := m.find(in.id); p != nil {
		p.unbound = false
		if p.phase != phaseActive { // it was replaced meanwhile, and took them all the same
			m.do(action{kind: actLeave, id: p.id})
		}
		m.sweep()
	}
}

func (in inTell) apply(m *machine, _ time.Time) {
	for _, p := range m.procs {
		if !p.spec.External && p.phase != phaseKilled {
			m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindTell, Topic: in.topic, Data: in.data}})
		}
	}
}

func (in inReady) apply(m *machine, now time.Time) {
	p := m.find(in.id)
	if p == nil || p.phase != phaseStarting {
		return
	}
	if m.tooLarge(now, p, in.own) {
		return
	}
	p.phase, p.ready, p.deadline = phaseStandby, now, time.Time{}
	if !p.spec.External { // others are watched from their first heartbeat on
		p.lastBeat = now
	}
	m.stats.StartSeconds = now.Sub(p.started).Seconds()
	m.served = true
	m.log(halog.Running, "ok, broker child is running")
	m.tellReady(now, p)

	switch c := m.candidate; {
	case m.mustProve(p):
		m.prove(now, p)
	case c != nil && p.gen == c.gen:
		m.candidate, m.later = m.later, nil
		m.takeOver(now, p, c)
	case m.active() == nil && !m.spareOfBefore(p):
		m.activate(p)
		m.replies(&m.starting, nil)
	default:
		m.dismissSpares(now)
		m.unbindSpares()
	}
}

// takeOver lets p, the first process of a new generation, serve instead of the old one.
func (m *machine) takeOver(now time.Time, p *proc, c *candidate) {
	if c.recedes {
		m.receded(now, nil)
	}
	old, before, gen := m.active(), m.spec, m.gen
	m.spec, m.gen = c.spec, c.gen
	m.tryOut(now, before, gen, old != nil || c.replaced != 0)
	m.deaths, m.nextStart, m.restart = 0, time.Time{}, false
	m.dismiss(now, func(q *proc) bool { return q.gen != m.gen && !m.spareOfBefore(q) })
	m.unbindSpares()
	m.activate(p)
	if c.recycles == nil {
		m.memory.Renew()
	}
	replaced := c.replaced
	if old != nil {
		replaced = old.pid
		m.relieve(now, old, c.reply)
		m.blame(c, old)
	} else {
		m.replies(&c.reply, nil)
	}
	if c.recycles != nil && replaced != 0 {
		m.recycled(p, c.recycles, replaced)
	} else if replaced != 0 {
		m.event("broker_child_replaced", p, map[string]any{"role": string(phaseActive), "replaced_pid": replaced})
	}
	m.replies(&m.starting, nil)
}
