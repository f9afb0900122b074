// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
)

// inSample is what a process has of memory for itself, once a second.
type inSample struct {
	id  int
	own int64
}

// A process that has too much is replaced as if somebody had asked for it, unless it is
// being replaced anyway.
func (in inSample) apply(m *machine, now time.Time) {
	p := m.active()
	if p == nil || p.id != in.id || !m.wanted || m.frozen || m.candidate != nil {
		return
	}
	limit := memory.Limit{Bytes: m.spec.MaxMemory, Interval: m.spec.MaxMemoryInterval}
	if v := m.memory.Sample(now, p.id, in.own, limit); v != nil {
		m.candidate = &candidate{until: now.Add(roomTime), recycles: v}
	}
}

// blame notes what p is replaced for.
func (m *machine) blame(c *candidate, p *proc) {
	if c.recycles != nil {
		p.cause = exits.Recycled
	}
}

// recycled tells that p serves instead of a process that had too much memory.
func (m *machine) recycled(p *proc, v *memory.Verdict, replaced int) {
	m.event("broker_child_recycled", p, map[string]any{
		"role": string(phaseActive), "replaced_pid": replaced, "own_memory_bytes": v.Own,
		"max_memory_bytes": m.spec.MaxMemory, "in_a_row": v.Row, "helpless": v.Helpless,
	})
}

// tooLarge reports whether the first process of a configuration has so much memory when it
// is ready that it would be replaced again and again, and ends it then. One that is
// started later has what it has: it is better than none.
func (m *machine) tooLarge(now time.Time, p *proc, own int64) bool {
	limit := p.spec.MaxMemory
	c := m.candidate
	first := c != nil && p.gen == c.gen && c.recycles == nil || c == nil && !m.served
	if !first || limit == 0 || own < limit {
		return false
	}
	p.refused = fmt.Sprintf("option max_memory: value %s is not allowed: a process that has just been loaded takes %s of its own: give it several times that",
		memory.MiB(limit), memory.MiB(own))
	m.kill(now, p, exits.StartFailure)
	return true
}
