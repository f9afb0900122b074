// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// notedFor is how long what has passed is worth a note.
const notedFor = time.Hour

// Judge says whether everything is all right at that time. Nothing of o's Verdict counts.
func (o *Overview) Judge(now time.Time) Verdict {
	j := judging{o: o, now: now}
	for _, c := range o.Children {
		j.child(c)
	}
	j.pools()
	j.reload()
	if d := o.InDoubt; d != nil && d.Requests > 0 {
		j.note("%s in doubt, the last %s ago: caddy broker in-doubt", Count(d.Requests, "request", "requests"), Span(now.Sub(d.Last)))
	}
	slices.SortStableFunc(j.problems, func(a, b Problem) int { return cmp.Compare(rank(a), rank(b)) })
	v := Verdict{AllRight: len(j.problems) == 0, Problems: j.problems, Notes: j.notes}
	if v.Problems == nil {
		v.Problems = []Problem{}
	}
	if v.Notes == nil {
		v.Notes = []string{}
	}
	v.Summary = j.summary()
	return v
}

func rank(p Problem) int {
	if p.Severity == Error {
		return 0
	}
	return 1
}

// judging is one run of Judge.
type judging struct {
	o        *Overview
	now      time.Time
	problems []Problem
	notes    []string

	serving    []string // children that serve, with since when
	pooled, up int      // upstreams in all pools, and those that take requests
	silent     bool     // a child cannot say what its pools are like, and that is a problem already
}

func (j *judging) problem(p Problem) { j.problems = append(j.problems, p) }

func (j *judging) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// noteOnce notes what is so in several pools once.
func (j *judging) noteOnce(text string) {
	if !slices.Contains(j.notes, text) {
		j.notes = append(j.notes, text)
	}
}

// since is how long something has been so.
func (j *judging) since(t time.Time) string { return Span(j.now.Sub(t)) }

// until is how long it takes to a time.
func (j *judging) until(t time.Time) string { return Span(t.Sub(j.now)) }

// summary is the first line of every view of a broker.
func (j *judging) summary() string {
	switch n := len(j.problems); n {
	case 0:
	case 1:
		return "NOT all right: " + j.problems[0].Text
	default:
		return fmt.Sprintf("NOT all right (%d problems): %s", n, j.problems[0].Text)
	}
	text := "all right: "
	switch {
	case len(j.serving) == 0:
		text += "this process serves"
	case len(j.serving) <= 2:
		text += strings.Join(j.serving, ", ")
	default:
		text += fmt.Sprintf("%d children serve", len(j.serving))
	}
	if n := len(j.o.Pools); n > 0 {
		text += fmt.Sprintf("; %s, %d/%s up", Count(n, "pool", "pools"), j.up, Count(j.pooled, "upstream", "upstreams"))
	}
	return text
}

// reload says how the last attempt to load a configuration ended.
func (j *judging) reload() {
	r := j.o.Reload
	if r == nil {
		return
	}
	p := Problem{
		Severity: Warn, Why: r.Error, Next: "the configuration of before serves on; mend the new one and reload",
	}
	switch r.Result {
	case Failed:
		p.Text = fmt.Sprintf("the reload %s ago failed", j.since(r.At))
		if r.RolledBack != "" {
			j.problem(Problem{Severity: Warn, Text: "the reload before that was rolled back", Why: r.RolledBack, Next: p.Next})
		}
	case RolledBack:
		p.Text = fmt.Sprintf("the reload %s ago was rolled back", j.since(r.At))
	default:
		return
	}
	j.problem(p)
}
