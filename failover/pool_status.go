// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// status is the word for the member's state.
func (m *Member) status() string {
	if m.drained {
		return "drained"
	}
	return m.state.String()
}

// Status is the pool's state now.
func (p *Pool) Status() report.PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	x.now = time.Now()
	s := report.PoolStatus{
		Name: p.name, CountedSince: p.born, State: x.state(), FailedPasses: x.worker.Failed, Waiting: x.queue.len(),
		Options: make(map[string]any), Upstreams: make([]report.UpstreamStatus, 0, len(x.members)),
	}
	for _, o := range x.opt.Settings() {
		s.Options[o.Name] = o.Value
	}
	if w := &x.worker; x.running && w.Active && !w.Running && !x.allDrained() {
		due := x.passDue()
		s.NextAttempt = &due
	}
	for _, m := range x.listed() {
		u := report.UpstreamStatus{
			URI: m.Name, State: m.status(), Priority: m.rank >= 0, Pushed: m.pushed, Manual: m == x.forced,
			Since: m.since, LastError: m.err.String(), Requests: m.inProgress.Load(),
		}
		if at := m.errAt; m.err != nil {
			u.LastErrorAt = &at
		}
		if due, ok := x.probeDue(m); ok && x.running {
			u.NextProbe = &due
		}
		if b := m.backup.Load(); b != nil {
			u.Backup = *b
		}
		s.Upstreams = append(s.Upstreams, u)
	}
	for _, m := range x.left {
		s.AddRemoved(m.Name, m.since, m.inProgress.Load())
	}
	return s
}

// listed are the members in their order, and then those that are not proved yet.
func (x *machine) listed() []*Member {
	list := append([]*Member(nil), x.order.members...)
	for _, m := range x.members {
		if m.unproved {
			list = append(list, m)
		}
	}
	return list
}

// Stats are the pool's counters now.
func (p *Pool) Stats() report.PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	s := report.PoolStats{Waiting: x.queue.len(), Waits: p.waits.Read(), ReconnectAttempts: x.passes}
	for _, m := range x.listed() {
		u := report.UpstreamStats{Name: m.Name, Up: !m.unproved && m.state != stateDown, Drained: m.drained, Priority: m.rank >= 0}
		for i := range u.Attempts {
			u.Attempts[i] = m.outcomes[i].Load()
		}
		s.Upstreams = append(s.Upstreams, u)
	}
	return s
}
