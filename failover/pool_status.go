// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// PoolStatus is what status says of a pool.
type PoolStatus struct {
	Name string `json:"name"`
	// State is "connecting" until a backend has answered for the first time,
	// "connected", "reconnecting" while none serves, "exhausted", or "all drained".
	State   string         `json:"state"`
	Options map[string]any `json:"options"`
	// FailedPasses is how many passes in a row found no backend.
	FailedPasses int `json:"failed_passes"`
	// NextAttempt is when the next pass starts; nil while backends serve.
	NextAttempt *time.Time       `json:"next_attempt"`
	Waiting     int              `json:"waiting"`
	Upstreams   []UpstreamStatus `json:"upstreams"`
}

// UpstreamStatus is what status says of a member.
type UpstreamStatus struct {
	URI string `json:"uri"`
	// State is "up", "suspect", "trial" (answers pings again, and has not
	// answered a request yet), "down" or "drained"; "removed" when it is no member
	// any more and still has requests in progress.
	State    string `json:"state"`
	Priority bool   `json:"priority"`
	// Pushed says that the address was added at run time.
	Pushed bool `json:"pushed"`
	// Manual says that a manual failover sends all clients here, until Failback
	// or until the member breaks.
	Manual bool      `json:"manual"`
	Since  time.Time `json:"since"`
	// LastError is the last failure since it was up; "" while it is up.
	LastError string `json:"last_error"`
	// NextProbe is when it is pinged next; nil when that is not planned.
	NextProbe *time.Time `json:"next_probe"`
	// Requests is how many are in progress.
	Requests int64 `json:"requests"`
	// Backup is the state of its warm connection: "", "warm", "connecting", "refused".
	Backup string `json:"backup"`
}

// status is the word for the member's state.
func (m *Member) status() string {
	if m.drained {
		return "drained"
	}
	return m.state.String()
}

// Status is the pool's state now.
func (p *Pool) Status() PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	x.now = time.Now()
	s := PoolStatus{
		Name: p.name, State: x.state(), FailedPasses: x.worker.Failed, Waiting: x.queue.len(),
		Options: make(map[string]any), Upstreams: make([]UpstreamStatus, 0, len(x.members)),
	}
	for _, o := range x.opt.Settings() {
		s.Options[o.Name] = o.Value
	}
	if w := &x.worker; x.running && w.Active && !w.Running && !x.allDrained() {
		due := x.passDue()
		s.NextAttempt = &due
	}
	for _, m := range x.listed() {
		u := UpstreamStatus{
			URI: m.Name, State: m.status(), Priority: m.rank >= 0, Pushed: m.pushed, Manual: m == x.forced,
			Since: m.since, LastError: m.err.String(), Requests: m.inProgress.Load(),
		}
		if due, ok := x.probeDue(m); ok && x.running {
			u.NextProbe = &due
		}
		if b := m.backup.Load(); b != nil {
			u.Backup = *b
		}
		s.Upstreams = append(s.Upstreams, u)
	}
	s.addRemoved(x.left)
	return s
}

// addRemoved adds the requests that are still in progress on former members: as
// those of their address where that is a member again.
func (s *PoolStatus) addRemoved(left []*Member) {
	for _, m := range left {
		n := m.inProgress.Load()
		if n == 0 {
			continue
		}
		if i := slices.IndexFunc(s.Upstreams, func(u UpstreamStatus) bool { return u.URI == m.Name }); i >= 0 {
			s.Upstreams[i].Requests += n
			continue
		}
		s.Upstreams = append(s.Upstreams, UpstreamStatus{URI: m.Name, State: "removed", Since: m.since, Requests: n})
	}
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

// Stats are the pool's counters, for metrics.
type Stats struct {
	Waiting int
	// ReconnectAttempts is how many passes were started.
	ReconnectAttempts uint64
	Upstreams         []UpstreamStats
}

// UpstreamStats are the counters of one member.
type UpstreamStats struct {
	Name string
	// Up says that it takes requests.
	Up bool
	// Attempts counts attempts by outcome, indexed by Outcome.
	Attempts [outcomes]uint64
}

// Stats are the pool's counters now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	s := Stats{Waiting: x.queue.len(), ReconnectAttempts: x.passes}
	for _, m := range x.listed() {
		u := UpstreamStats{Name: m.Name, Up: m.serves()}
		for i := range u.Attempts {
			u.Attempts[i] = m.outcomes[i].Load()
		}
		s.Upstreams = append(s.Upstreams, u)
	}
	return s
}
