// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// mostCauses bounds how many different errors of upstreams are named as a cause.
const mostCauses = 2

// pools judges all pools.
func (j *judging) pools() {
	if text := j.o.PoolsError; text != "" && !j.silent {
		j.problem(Problem{Severity: Error, Text: "what the pools are like is not known", Why: text, Next: "ask again"})
	}
	for _, p := range j.o.Pools {
		j.pool(p)
		for _, u := range p.Upstreams {
			if u.State == "removed" {
				continue
			}
			j.pooled++
			if Takes(u) {
				j.up++
			}
			if u.State != "drained" {
				continue
			}
			text := u.URI + " is drained"
			if d := u.Drained; d != nil {
				text += fmt.Sprintf(" for %s by %s", j.since(d.Since), d.By)
			}
			j.noteOnce(text)
		}
	}
}

// Takes reports whether an upstream takes requests.
func Takes(u report.UpstreamStatus) bool {
	return u.State == "up" || u.State == "suspect" || u.State == "trial"
}

// Serves reports whether a pool has an upstream that takes requests.
func Serves(p report.PoolStatus) bool {
	return p.State == "connected" && slices.ContainsFunc(p.Upstreams, Takes)
}

// pool judges one.
func (j *judging) pool(p report.PoolStatus) {
	problem := Problem{Severity: Error, Pool: p.Name}
	if p.NextAttempt != nil {
		problem.Next = "the next attempt is in " + j.until(*p.NextAttempt)
	}
	switch p.State {
	case "connected":
		j.upstreams(p)
		return
	case "all drained":
		problem.Text = fmt.Sprintf("pool %s: every upstream is drained, requests get 503", p.Name)
		problem.Next = "let one serve again: caddy broker resume ADDRESS"
	case "connecting":
		problem.Text = fmt.Sprintf("pool %s has reached no upstream yet", p.Name)
	case "exhausted":
		problem.Text = fmt.Sprintf("pool %s: no upstream serves%s, requests get 503", p.Name, j.lost(p))
	default:
		problem.Text = fmt.Sprintf("pool %s: no upstream serves%s", p.Name, j.lost(p))
	}
	if p.Waiting > 0 {
		problem.Text += ", " + Count(p.Waiting, "request waits", "requests wait")
	}
	problem.Why = causes(p)
	j.problem(problem)
}

// lost is how long a pool has had no upstream: since the last of them went down.
func (j *judging) lost(p report.PoolStatus) string {
	var last time.Time
	for _, u := range p.Upstreams {
		if u.State == "down" && u.Since.After(last) {
			last = u.Since
		}
	}
	if last.IsZero() {
		return ""
	}
	return " for " + j.since(last)
}

// causes are the different last errors of a pool's upstreams.
func causes(p report.PoolStatus) string {
	var list []string
	more := 0
	for _, u := range p.Upstreams {
		switch text := u.LastError; {
		case text == "" || slices.Contains(list, text):
		case len(list) == mostCauses:
			more++
		default:
			list = append(list, text)
		}
	}
	text := strings.Join(list, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// upstreams judges those of a pool that serves.
func (j *judging) upstreams(p report.PoolStatus) {
	for _, u := range p.Upstreams {
		if u.Manual {
			j.note("pool %s: all clients were sent to %s by hand: caddy broker failback %s", p.Name, u.URI, p.Name)
		}
		switch u.State {
		case "down":
			problem := Problem{
				Severity: Warn, Pool: p.Name, Upstream: u.URI, Why: u.LastError,
				Text: fmt.Sprintf("%s is down for %s", u.URI, j.since(u.Since)), Next: "the others of its pool serve",
			}
			if u.NextProbe != nil {
				problem.Next += fmt.Sprintf("; it is asked again in %s", j.until(*u.NextProbe))
			}
			j.problem(problem)
		case "suspect":
			j.noteOnce(u.URI + " lost a request: one more, and it is down")
		case "trial":
			j.noteOnce(u.URI + " answers pings, and has yet to answer a request")
		}
	}
}
