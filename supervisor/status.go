// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"maps"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Status is what users see of a child.
type Status struct {
	Name string `json:"name"`
	// State: starting, ready, active, standby, draining, stopping, stopped, backoff.
	State string `json:"state"`
	// Pid is the active process's, or that of the one which is to become active; 0 is none.
	Pid int `json:"pid,omitempty"`
	// Since is when the child came into its state.
	Since time.Time `json:"since"`
	// Restarts counts the starts that followed a death.
	Restarts uint64      `json:"restarts"`
	LastExit *exits.Exit `json:"last_exit,omitempty"`
	// LastFailure is the last exit that was not asked for, of a process that was to serve
	// or did, until the next one of that kind. Users see it where it is not the last of all.
	LastFailure *exits.Exit `json:"last_failure,omitempty"`
	// NextStart is set while the child is in backoff.
	NextStart *time.Time `json:"next_start,omitempty"`
	// Waiting is set while replacements wait for processes that finish requests, or
	// AwaitRoom does.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Standby is how many spares there are to be; nil for a child that is not to run.
	Standby *StandbyStatus `json:"standby,omitempty"`
	// Probation is until when what serves may be rolled back; nil is not any more.
	Probation *time.Time `json:"probation_until,omitempty"`
	// Processes are all living ones, the oldest first.
	Processes []ProcessStatus `json:"processes"`

	// Stats are the counters behind the metrics.
	Stats Stats `json:"-"`

	spec     *Spec
	gapSince time.Time
	limited  bool // its memory is
}

// OtherFailure is the last exit that was not asked for, if that is another one than the last.
func (s *Status) OtherFailure() *exits.Exit {
	if e, f := s.LastExit, s.LastFailure; e == nil || f == nil || f.Pid != e.Pid || !f.At.Equal(e.At) {
		return f
	}
	return nil
}

// StandbyStatus says how many spares are wanted, and how many could take over now.
type StandbyStatus struct {
	Wanted int `json:"wanted"`
	Ready  int `json:"ready"`
}

// Waiting says what waits for what.
type Waiting struct {
	// Changes are the replacements that have not begun.
	Changes int `json:"changes"`
	// Processes are those that were replaced and still finish requests.
	Processes int `json:"processes"`
}

// ProcessStatus is what users see of one process.
type ProcessStatus struct {
	ID         int       `json:"id"`
	Pid        int       `json:"pid"`
	State      string    `json:"state"`
	Generation int       `json:"generation"`
	Started    time.Time `json:"started"`
	// Ready is when the process became ready.
	Ready *time.Time `json:"ready,omitempty"`
	// LastHeartbeat is when it gave a sign of life last, which it does each second; nil
	// before the first, and for other programs.
	LastHeartbeat *time.Time `json:"last_heartbeat,omitempty"`
	// Admin is the path of its private admin socket.
	Admin string `json:"admin,omitempty"`

	process *process // nil until it is spawned
}

// Status is a snapshot.
func (s *Supervisor) Status() *Status {
	st := *s.status.Load()
	if !st.gapSince.IsZero() {
		st.Stats.Gap += time.Since(st.gapSince)
	}
	return &st
}

// Spec is what runs, or would; nil before the first start.
func (s *Supervisor) Spec() *Spec { return s.status.Load().spec }

// publish makes the machine's state visible.
func (s *Supervisor) publish() {
	m := s.m
	st := &Status{
		Name: m.name, State: m.shown, Since: m.since, Restarts: m.stats.Restarts,
		LastExit: m.lastExit, LastFailure: m.lastFailure, Processes: []ProcessStatus{}, Stats: m.stats, gapSince: m.gapSince,
	}
	st.limited = m.spec != nil && m.spec.MaxMemory > 0
	st.Stats.Exits = maps.Clone(m.stats.Exits)
	if m.shown == stateBackoff {
		at := m.nextStart
		st.NextStart = &at
	}
	if m.wanted && m.spec != nil && !m.spec.External {
		st.Standby = &StandbyStatus{Wanted: m.spec.Standby, Ready: m.count(phaseStandby)}
	}
	st.spec = m.spec
	if pr := m.probation; pr != nil {
		at := pr.until
		st.Probation = &at
	}
	if n := m.waiting(); n > 0 || len(m.rooms) > 0 {
		st.Waiting = &Waiting{Changes: n, Processes: m.serving() - m.count(phaseActive)}
	}
	for _, p := range m.procs {
		ps := ProcessStatus{ID: p.id, Pid: p.pid, State: p.shown(), Generation: p.gen, Started: p.started, process: s.procs[p.id]}
		if !p.ready.IsZero() {
			at := p.ready
			ps.Ready = &at
		}
		if !p.lastBeat.IsZero() && !p.spec.External {
			at := p.lastBeat
			ps.LastHeartbeat = &at
		}
		if s.cfg.AdminSocket != nil && !p.spec.External {
			ps.Admin = s.cfg.AdminSocket(p.id, p.spec.User)
		}
		st.Processes = append(st.Processes, ps)
		if p.phase == phaseActive || st.Pid == 0 && (p.phase == phaseStarting || !m.wanted) {
			st.Pid = p.pid
		}
	}
	s.status.Store(st)
}

func (p *proc) shown() string {
	if p.phase == phaseKilled {
		return string(phaseStopping)
	}
	return string(p.phase)
}
