// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/output"
)

// Reasons of an exit, as they are counted and reported.
const (
	exitCrash        = "crash"         // its own doing
	exitHang         = "hang"          // it gave no sign of life any more
	exitOOM          = "oom"           // the system had no memory left for it
	exitKilled       = "killed"        // by a signal that was not ours
	exitSpawn        = "spawn"         // it could not be started at all
	exitStartFailure = "start_failure" // it ended before it was ready, or was not ready in time
	exitStop         = "stop"          // it was asked to
	exitReplace      = "replace"       // another process had taken its place
	exitRecycled     = "recycled"      // likewise, because it had too much memory
)

// ExitReasons are all values of [Exit.Reason].
func ExitReasons() []string {
	return []string{exitCrash, exitHang, exitOOM, exitKilled, exitSpawn, exitStartFailure, exitStop, exitReplace, exitRecycled}
}

// Exit is how a process ended, and what is known of why.
type Exit struct {
	// Code is the exit code; a death by signal is 128 + its number.
	Code int `json:"code"`
	// Signal is the signal's name, empty for an exit.
	Signal string `json:"signal,omitempty"`
	// At is when.
	At time.Time `json:"at"`
	// Stderr is the last of what the process wrote to its standard error, and the
	// beginning of a dump.
	Stderr string `json:"stderr,omitempty"`
	// Reason is one of [ExitReasons].
	Reason string `json:"reason"`
	// Error is what is known of the reason: what the process said about it, or why it
	// was ended or could not be started.
	Error string `json:"error,omitempty"`
	// Pid is the process's id.
	Pid int `json:"pid,omitempty"`
	// Role is what the process was: active, standby, draining, candidate (it was to
	// replace the active one), or starting.
	Role string `json:"role,omitempty"`
	// Generation is that of the process's configuration.
	Generation int `json:"generation,omitempty"`
	// Uptime is how long it lived, in seconds.
	Uptime float64 `json:"uptime_seconds,omitempty"`
	// Memory is what it had in memory when that was seen last, and PeakMemory the most that
	// it ever had, in bytes; 0 is not known.
	Memory     int64 `json:"memory_bytes,omitempty"`
	PeakMemory int64 `json:"peak_memory_bytes,omitempty"`
	// Fault is the line with which a Go program begins to say why it dies, and Goroutine
	// the one that died; empty where it wrote none.
	Fault     string `json:"fault,omitempty"`
	Goroutine string `json:"goroutine,omitempty"`
	// InFlight is what the process had in progress; nil if there was nothing.
	InFlight *InFlight `json:"in_flight,omitempty"`
}

// maxBrief bounds the standard error of a brief exit, in bytes.
const maxBrief = 2 << 10

// Brief is the exit with short texts, for those who look often: of standard error there
// is what the process said of its end, or else its last lines.
func (e *Exit) Brief() *Exit {
	if e == nil {
		return nil
	}
	brief := *e
	brief.Stderr, brief.Goroutine = plain.Text(LastWords(e.Stderr, 5), maxBrief), ""
	if e.Fault != "" {
		brief.Stderr = plain.Text(e.Fault+"\n\n"+e.Goroutine, maxBrief)
	}
	if f := e.InFlight; f != nil {
		counts := *f
		counts.Routes = nil
		brief.InFlight = &counts
	}
	return &brief
}

// Planned reports whether the exit was asked for.
func (e *Exit) Planned() bool { return planned(e.Reason) }

func planned(reason string) bool {
	return reason == exitStop || reason == exitReplace || reason == exitRecycled
}

// maxReason bounds what is kept of the reason of an exit, in bytes.
const maxReason = 16 << 10

// maxFault bounds the line with which a program says why it dies, in bytes.
const maxFault = 1 << 10

// exitOf is all that is known of the end of p.
func (in *inExited) exitOf(m *machine, p *proc, now time.Time) *Exit {
	exit := in.exit
	exit.At, exit.Pid, exit.Reason = now, p.pid, cmp.Or(p.cause, in.reason(p))
	exit.Role, exit.Generation, exit.Uptime = m.role(p), p.gen, now.Sub(p.started).Seconds()
	if exit.Reason == exitKilled || exit.Reason == exitOOM { // it had no time to say anything
		exit.Fault, exit.Goroutine = "", ""
	}
	if p.ready.IsZero() && exit.InFlight != nil && exit.InFlight.Requests == 0 {
		exit.InFlight = nil // it had not come so far
	}
	exit.Error = plain.Text(cmp.Or(p.refused, in.said, p.broken), maxReason)
	exit.Stderr = plain.Text(exit.Stderr, output.MaxText)
	exit.Fault = plain.Line(exit.Fault, maxFault)
	exit.Goroutine = plain.Text(exit.Goroutine, output.MaxGoroutine)
	if p.cause == exitStartFailure && exit.Error == "" {
		exit.Error = fmt.Sprintf("not ready within %s", p.spec.ReadyTimeout)
	}
	return &exit
}

// cut hands on the requests that the end of a process has cut off.
func (m *machine) cut(exit *Exit, requests []account.Request) {
	if len(requests) > 0 {
		m.do(action{kind: actCut, exit: exit, cut: requests})
	}
}

// reason is why a process ended that nothing here has ended.
func (in *inExited) reason(p *proc) string {
	switch {
	case p.pid == 0:
		return exitSpawn
	case in.oom:
		return exitOOM
	case p.ready.IsZero():
		return exitStartFailure
	}
	switch in.exit.Signal {
	case "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP":
		return exitKilled
	}
	return exitCrash
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

// LastLines are the last n lines of text that are not empty, joined: what fits
// into an error message.
func LastLines(text string, n int) string {
	var out []string
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i >= 0 && len(out) < n; i-- {
		if l := strings.TrimSpace(lines[i]); l != "" {
			out = append([]string{l}, out...)
		}
	}
	return strings.Join(out, "\n")
}

// LastWords are LastLines without those of a log in JSON that say that all is as it should
// be: the lines of a start do not explain an end.
func LastWords(text string, n int) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		var entry struct{ Level string }
		return strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &entry) == nil &&
			(strings.EqualFold(entry.Level, "info") || strings.EqualFold(entry.Level, "debug"))
	})
	return LastLines(strings.Join(lines, "\n"), n)
}
