// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package exits

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Reasons of an exit, as they are counted and reported.
const (
	Crash        = "crash"         // its own doing
	Hang         = "hang"          // it gave no sign of life any more
	OOM          = "oom"           // the system had no memory left for it
	Killed       = "killed"        // by a signal that was not ours
	Spawn        = "spawn"         // it could not be started at all
	StartFailure = "start_failure" // it ended before it was ready, or was not ready in time
	Stop         = "stop"          // it was asked to
	Replace      = "replace"       // another process had taken its place
	Recycled     = "recycled"      // likewise, because it had too much memory
)

// Reasons are all values of [Exit.Reason].
func Reasons() []string {
	return []string{Crash, Hang, OOM, Killed, Spawn, StartFailure, Stop, Replace, Recycled}
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
	// Reason is why it ended: crash, hang, oom, killed, spawn, start_failure, stop, replace or
	// recycled.
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
func (e *Exit) Planned() bool { return Planned(e.Reason) }

// Planned reports whether what ends for a reason was asked to.
func Planned(reason string) bool {
	return reason == Stop || reason == Replace || reason == Recycled
}

// MaxReason bounds what is kept of the reason of an exit, in bytes.
const MaxReason = 16 << 10

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
