// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"maps"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// What users are told of a change is told once, with all that follows from it: an event
// says what was decided, so it comes when that is.

// tellExited says how a process ended, and what happens next; spare is the process that
// takes its place at once, if there is one.
func (m *machine) tellExited(now time.Time, p *proc, exit *exits.Exit, follows bool, spare *proc) {
	data := map[string]any{
		"code": exit.Code, "signal": exit.Signal, "reason": exit.Reason,
		"role": exit.Role, "uptime_seconds": seconds(now.Sub(p.started)),
	}
	if exit.Error != "" {
		data["error"] = exit.Error
	}
	if exit.Fault != "" {
		data["fault"] = exit.Fault
	}
	if f := exit.InFlight; f != nil {
		data["requests"], data["in_doubt"] = f.Requests, f.InDoubt
		if f.Unknown != "" {
			data["requests_unknown"] = f.Unknown
		}
	}
	if a := m.active(); a != nil {
		data["active_pid"] = a.pid
	}
	if follows && (m.served || m.left() > 0) { // else it cannot start, and that is all
		data["deaths"], data["next_start_seconds"] = m.deaths, seconds(m.nextStart.Sub(now))
		if spare != nil {
			data["standby_pid"] = spare.pid
		} else if m.active() == nil && m.loading() == 0 && m.nextStart.Sub(now) > holdBefore {
			data["held"] = true // see holding
		}
	}
	m.event("broker_child_exited", p, data)
}

// tellReady says that a process is ready, and for how long no other one has accepted.
func (m *machine) tellReady(now time.Time, p *proc) {
	role := "standby"
	if c := m.candidate; m.mustProve(p) {
		role = roleCandidate
	} else if m.active() == nil && !m.spareOfBefore(p) || c != nil && c.gen == p.gen {
		role = string(phaseActive)
	}
	data := map[string]any{"role": role, "start_seconds": seconds(now.Sub(p.started))}
	if role == string(phaseActive) && m.deaths > 0 && !m.gapSince.IsZero() {
		data["gap_seconds"] = seconds(now.Sub(m.gapSince))
	}
	m.event("broker_child_ready", p, data)
}

// redundancy tells when a death has left fewer spares than there should be, and when they
// are complete again.
func (m *machine) redundancy(now time.Time) {
	want := m.spec.Standby
	data := map[string]any{"child": m.name, "ready": m.count(phaseStandby), "wanted": want}
	complete := m.count(phaseStandby) >= want
	switch {
	case m.lacking && complete:
		m.lacking = false
		m.tell("broker_standby_restored", data)
	case m.bereft && !m.lacking && !complete:
		m.lacking = true
		data["next_start_seconds"] = seconds(m.nextStart.Sub(now))
		m.tell("broker_standby_lost", data)
	}
	m.bereft = false
}

// quiet is how long a process may be silent before that is told.
func quiet(watchdog time.Duration) time.Duration { return max(watchdog/3, 2*time.Second) }

// silence tells when a process gives no sign of life, long before it is ended, and when it
// does again.
func (m *machine) silence(now time.Time, p *proc) {
	w := p.spec.Watchdog
	if w <= 0 || p.lastBeat.IsZero() || p.phase == phaseKilled {
		return
	}
	silent := now.Sub(p.lastBeat)
	switch {
	case !p.silent && silent >= quiet(w) && silent-m.slept >= quiet(w)/2: // else it is this process that has not listened
		p.silent = true
		m.event("broker_child_silent", p, map[string]any{
			"role": m.role(p), "silent_seconds": seconds(silent), "ends_in_seconds": seconds(w - silent),
		})
	case p.silent && silent < quiet(w):
		p.silent = false
		m.event("broker_child_responds", p, map[string]any{"role": m.role(p)})
	}
}

func (m *machine) event(name string, p *proc, data map[string]any) {
	d := map[string]any{"child": m.name, "pid": p.pid}
	maps.Copy(d, data)
	m.tell(name, d)
}

func (m *machine) tell(name string, data map[string]any) {
	m.do(action{kind: actEvent, event: Event{Name: name, Data: data}})
}

// seconds is a time as events have it, to the millisecond.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
