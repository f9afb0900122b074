// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/output"
)

// maxFault bounds the line with which a program says why it dies, in bytes.
const maxFault = 1 << 10

// exitOf is all that is known of the end of p.
func (in *inExited) exitOf(m *machine, p *proc, now time.Time) *exits.Exit {
	exit := in.exit
	exit.At, exit.Pid, exit.Reason = now, p.pid, cmp.Or(p.cause, in.reason(p))
	exit.Role, exit.Generation, exit.Uptime = m.role(p), p.gen, now.Sub(p.started).Seconds()
	if exit.Reason == exits.Killed || exit.Reason == exits.OOM { // it had no time to say anything
		exit.Fault, exit.Goroutine = "", ""
	}
	if p.ready.IsZero() && exit.InFlight != nil && exit.InFlight.Requests == 0 {
		exit.InFlight = nil // it had not come so far
	}
	exit.Error = plain.Text(cmp.Or(p.refused, in.said, p.broken), exits.MaxReason)
	exit.Stderr = plain.Text(exit.Stderr, output.MaxText)
	exit.Fault = plain.Line(exit.Fault, maxFault)
	exit.Goroutine = plain.Text(exit.Goroutine, output.MaxGoroutine)
	if p.cause == exits.StartFailure && exit.Error == "" {
		exit.Error = fmt.Sprintf("not ready within %s", p.spec.ReadyTimeout)
	}
	return &exit
}

// cut hands on the requests that the end of a process has cut off.
func (m *machine) cut(exit *exits.Exit, requests []account.Request) {
	if len(requests) > 0 {
		m.do(action{kind: actCut, exit: exit, cut: requests})
	}
}

// reason is why a process ended that nothing here has ended.
func (in *inExited) reason(p *proc) string {
	switch {
	case p.pid == 0:
		return exits.Spawn
	case in.oom:
		return exits.OOM
	case p.ready.IsZero():
		return exits.StartFailure
	}
	switch in.exit.Signal {
	case "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP":
		return exits.Killed
	}
	return exits.Crash
}

// roleCandidate is the role of what is to replace the active process.
const roleCandidate = "candidate"

// role is what p is for the child.
func (m *machine) role(p *proc) string {
	switch c := m.candidate; {
	case (p.phase == phaseStarting || p.phase == phaseProving) && c != nil && c.begun && p.gen == c.gen:
		return roleCandidate
	case p.phase == phaseStopping, p.phase == phaseKilled:
		return p.role
	}
	return string(p.phase)
}
