// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
)

// candidate is a replacement: a spec that serves once a process of it is ready, and
// those that wait for that. Before it begins, further replacements join it.
type candidate struct {
	spec  *Spec     // nil is whatever runs when it begins
	reply []int     // replies due when it serves, or cannot
	until time.Time // it waits for room no longer than this
	begun bool      // it has, or had, a process
	gen   int       // that of its processes, once it has begun; it becomes the machine's when one is ready
	// replaced is the process that was active before what must be alone could start.
	replaced int
	// recycles is why the process that serves is replaced though nobody has asked for it;
	// nil is that somebody has.
	recycles *memory.Verdict
	// recedes says that what serves is on probation and does not serve well.
	recedes bool
}

const (
	// DefaultMaxGenerations is what a [Spec] that says nothing has.
	DefaultMaxGenerations = 3
	// DefaultMaxDrains is what a [Spec] that says nothing has.
	DefaultMaxDrains = 64
	// roomTime bounds how long a replacement waits for room.
	roomTime = 10 * time.Second
	// settleTime is how long a process that was replaced counts among those that serve at
	// the same time. What it has after that are downloads and streams, for which it stays
	// as long as they may take.
	settleTime = 10 * time.Second
)

// inReplace wants spec to serve instead of what serves; a nil spec is a restart.
type inReplace struct {
	spec  *Spec
	reply int
}

// A replacement that has begun is not ended for the next one: a storm of them would
// never get anywhere. What comes meanwhile gathers, and the newest of it will serve.
func (in inReplace) apply(m *machine, now time.Time) {
	if m.refuses("replacing", in.reply) {
		return
	}
	if !m.wanted {
		err := ErrStopped
		if m.left() > 0 {
			err = ErrStopping
		}
		m.reply(in.reply, fmt.Errorf("replacing child %q: %w", m.name, err))
		return
	}
	at := &m.candidate
	if m.candidate != nil && m.candidate.begun {
		at = &m.later
	}
	if *at == nil {
		*at = &candidate{until: now.Add(roomTime)}
	}
	c := *at
	c.reply = append(c.reply, in.reply)
	if in.spec != nil {
		c.spec, c.recycles, c.recedes = in.spec, nil, false
	}
}

// specOf is what a candidate is to run.
func (m *machine) specOf(c *candidate) *Spec {
	if c.spec == nil {
		return m.spec
	}
	return c.spec
}

// begin starts the candidate's process when it may have one.
func (m *machine) begin(now time.Time) {
	c := m.candidate
	if c == nil || c.begun {
		return
	}
	switch spec := m.specOf(c); {
	case spec.StopFirst:
		if p := m.active(); p != nil {
			c.replaced = p.pid
			m.blame(c, p)
			// If it has come to serve in this step only, users queue at the sockets again.
			m.out = slices.DeleteFunc(m.out, func(a action) bool { return a.kind == actSweep })
		}
		if !m.clear(now) {
			return
		}
	case m.hasRoom():
	case now.Before(c.until):
		return
	case m.crowded():
		m.candidate = nil
		m.replies(&c.reply, fmt.Errorf("replacing child %q: %w", m.name, ErrCrowded))
		return
	}
	m.lastGn++
	c.spec, c.gen, c.begun = m.specOf(c), m.lastGn, true
	for _, p := range m.procs { // spares on their way would be the old generation's
		if m.active() != nil && p.gen == m.gen && p.phase == phaseStarting {
			m.kill(now, p, exits.Replace)
		}
	}
	m.start(now, c.spec, c.gen)
}

// dismiss stops the processes that match of those that may yet serve.
func (m *machine) dismiss(now time.Time, match func(*proc) bool) {
	for _, p := range m.procs {
		if (p.phase == phaseStarting || p.phase == phaseStandby || p.phase == phaseProving) && match(p) {
			m.stop(now, p, exits.Replace)
		}
	}
}

// finishes reports whether p was replaced and still has users.
func (p *proc) finishes() bool {
	return p.phase == phaseDraining || p.phase == phaseStopping && p.killAt.IsZero()
}

// finishing counts the processes that finish the requests of their users.
func (m *machine) finishing() int {
	n := 0
	for _, p := range m.procs {
		if p.finishes() {
			n++
		}
	}
	return n
}

// maxGenerations is that of the spec that serves.
func (m *machine) maxGenerations() int {
	if m.spec == nil || m.spec.MaxGenerations == 0 {
		return DefaultMaxGenerations
	}
	return m.spec.MaxGenerations
}

// serving counts the active process and those that were replaced a short while ago.
func (m *machine) serving() int {
	n := m.count(phaseActive)
	for _, p := range m.procs {
		if p.finishes() && !p.settled {
			n++
		}
	}
	return n
}

// unsettled are the processes that drain, of those replaced a short while ago; the oldest
// first.
func (m *machine) unsettled() (list []*proc) {
	for _, p := range m.procs {
		if p.phase == phaseDraining && !p.settled {
			list = append(list, p)
		}
	}
	return list
}

// limit ends the oldest drains early until so many processes at most serve, of those that
// were not told to stop.
func (m *machine) limit(now time.Time, most int) {
	for _, p := range m.unsettled() {
		if m.count(phaseActive)+len(m.unsettled()) <= most {
			return
		}
		m.stop(now, p, exits.Replace)
	}
}

// crowded reports whether there are as many replaced processes as there may be.
func (m *machine) crowded() bool {
	limit := DefaultMaxDrains
	if m.spec != nil && m.spec.MaxDrains > 0 {
		limit = m.spec.MaxDrains
	}
	return m.finishing() >= limit
}

// hasRoom reports whether another process may serve beside those that do.
func (m *machine) hasRoom() bool { return m.serving() < m.maxGenerations() && !m.crowded() }

// settle lets the processes that were replaced a while ago leave room for others.
func (m *machine) settle(now time.Time) {
	for _, p := range m.procs {
		if !p.settleAt.IsZero() && !now.Before(p.settleAt) {
			p.settleAt, p.settled = time.Time{}, true
		}
	}
}

// roomer waits until a replacement would begin at once, or will not wait longer.
type roomer struct {
	reply int
	until time.Time
}

// inRoom asks to be told when a replacement would begin at once.
type inRoom struct{ reply int }

func (in inRoom) apply(m *machine, now time.Time) {
	m.rooms = append(m.rooms, roomer{in.reply, now.Add(roomTime)})
}

// makeRoom ends the oldest drains early where something waits for room, so that what
// only waits to receive is cut and the process ends with its last request; and tells
// those that wait when there is room.
func (m *machine) makeRoom(now time.Time) {
	waits := m.waiting() > 0
	free := !waits && (!m.wanted || m.spec.StopFirst || m.candidate == nil && m.hasRoom())
	m.rooms = slices.DeleteFunc(m.rooms, func(r roomer) bool {
		over := free || !now.Before(r.until)
		if over {
			m.reply(r.reply, nil)
		}
		return over
	})
	if !waits && len(m.rooms) == 0 {
		return
	}
	if p := m.first(phaseDraining); p != nil && m.crowded() && m.finishing() == m.count(phaseDraining) {
		m.stop(now, p, exits.Replace)
	}
	m.limit(now, m.maxGenerations()-1)
}

// waiting counts the replacements that have not begun.
func (m *machine) waiting() int {
	n := 0
	for _, c := range []*candidate{m.candidate, m.later} {
		if c != nil && !c.begun {
			n += len(c.reply)
		}
	}
	return n
}
