// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"slices"
	"time"

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
}

const (
	// maxGenerations bounds the processes that serve users at the same time, the
	// active one included: a replacement waits, for as long as roomTime, until those
	// that still finish requests leave it room.
	maxGenerations = 3
	// maxServing bounds the processes that finish requests when roomTime was over
	// again and again; then replacements fail.
	maxServing = 8
	// roomTime bounds how long a replacement waits for room.
	roomTime = 10 * time.Second
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
		c.spec = in.spec
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
	case m.serving() >= maxServing:
		m.candidate = nil
		m.replies(&c.reply, fmt.Errorf("replacing child %q: %w", m.name, ErrCrowded))
		return
	}
	m.lastGn++
	c.spec, c.gen, c.begun = m.specOf(c), m.lastGn, true
	if m.active() != nil { // spares on their way would be the old generation's
		m.end(now, func(p *proc) bool { return p.gen == m.gen })
	}
	m.start(now, c.spec, c.gen)
}

// end kills the starting processes that match: they serve no user.
func (m *machine) end(now time.Time, match func(*proc) bool) {
	for _, p := range m.procs {
		if p.phase == phaseStarting && match(p) {
			m.kill(now, p, exitReplace)
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

// serving counts them and the active one.
func (m *machine) serving() int { return m.finishing() + m.count(phaseActive) }

// hasRoom reports whether another process may serve beside those that do.
func (m *machine) hasRoom() bool { return m.serving() < maxGenerations }

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
	ending := m.finishing() - m.count(phaseDraining)
	for p := m.first(phaseDraining); p != nil && m.serving()-ending >= maxGenerations; p = m.first(phaseDraining) {
		m.stop(now, p, exitReplace)
		ending++
	}
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
