// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// Overview is the answer of GET /broker/.
type Overview struct {
	Verdict
	// Version is the plugin's.
	Version string `json:"version,omitempty"`
	// Children are the supervised programs; a process that supervises none serves itself.
	Children []*supervisor.Status `json:"children"`
	Pools    []report.PoolStatus  `json:"pools"`
	// PoolsError is why the pools are not known; empty if they are.
	PoolsError string `json:"pools_error,omitempty"`
	// Reload is the last attempt to make a configuration serve; nil before the first.
	Reload *Reload `json:"reload,omitempty"`
	// InDoubt are the requests in doubt; nil if there are none.
	InDoubt *InDoubt `json:"in_doubt,omitempty"`
}

// Results of a reload.
const (
	Served     = "served"      // the new configuration serves
	Unchanged  = "unchanged"   // it was the one that served already
	Failed     = "failed"      // it cannot be loaded; the one of before serves
	RolledBack = "rolled_back" // it was loaded and did not serve well; the one of before serves
)

// Reload is an attempt to make a configuration serve, the first one of a process included.
type Reload struct {
	At     time.Time `json:"at"`
	Result string    `json:"result"`
	Error  string    `json:"error,omitempty"`
	// RolledBack is why something else serves than what was loaded last and could be; empty
	// is that it does not.
	RolledBack string `json:"rolled_back,omitempty"`
	// Serving is since when the configuration serves that was loaded last.
	Serving *time.Time `json:"serving_since,omitempty"`
}

// InDoubt counts the requests that may have been executed without an answer.
type InDoubt struct {
	Requests int `json:"requests"`
	// Last is when the newest of them came to be.
	Last time.Time `json:"last"`
}

// Verdict is the answer to the question whether everything is all right.
type Verdict struct {
	// AllRight reports whether there are no problems.
	AllRight bool `json:"all_right"`
	// Summary is the answer as a line: what serves, or the worst problem.
	Summary string `json:"summary"`
	// Problems are what is not all right, the worst first.
	Problems []Problem `json:"problems"`
	// Notes are what is worth knowing besides: decisions of operators, and what has passed.
	Notes []string `json:"notes"`
}

// Severities of a problem.
const (
	Error = "error" // users are affected
	Warn  = "warn"  // redundancy or capacity is lost
)

// Problem is one thing that is not all right.
type Problem struct {
	Severity string `json:"severity"`
	// Child, Pool and Upstream name what it is about, as far as it is about that.
	Child    string `json:"child,omitempty"`
	Pool     string `json:"pool,omitempty"`
	Upstream string `json:"upstream,omitempty"`
	// Text says what is not all right; Why is the cause as far as it is known, and Next
	// what happens by itself, or what to do.
	Text string `json:"text"`
	Why  string `json:"why,omitempty"`
	Next string `json:"next,omitempty"`
}

// Count is a number with the word for it.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Span is a duration as an operator reads it, in its two largest units.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		text := d.Round(time.Second).String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		return text
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}
