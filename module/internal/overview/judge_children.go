// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// silentFor is how long a process that gives a sign of life each second may give none
// before that is a problem.
const silentFor = 4 * time.Second

// Active is the process of a child that accepts connections; nil if there is none.
func Active(c *supervisor.Status) *supervisor.ProcessStatus {
	for i, p := range c.Processes {
		if p.State == "active" {
			return &c.Processes[i]
		}
	}
	return nil
}

// Failure is the last exit of a child that was not asked for; nil if there is none.
func Failure(c *supervisor.Status) *exits.Exit {
	if e := c.LastExit; e != nil && !e.Planned() {
		return e
	}
	return c.LastFailure
}

// SilentSince is when a child gave its last sign of life, if that is too long ago; else
// it is zero.
func SilentSince(c *supervisor.Status, now time.Time) time.Time {
	if p := Active(c); p != nil && p.LastHeartbeat != nil && now.Sub(*p.LastHeartbeat) > silentFor {
		return *p.LastHeartbeat
	}
	return time.Time{}
}

// child judges one child.
func (j *judging) child(c *supervisor.Status) {
	active := Active(c)
	if active == nil {
		j.down(c)
		return
	}
	text := fmt.Sprintf("%s serves for %s", c.Name, j.since(cmp.Or(deref(active.Ready), active.Started)))
	if s := c.Standby; s != nil && s.Wanted > 0 {
		text += fmt.Sprintf(", %s", Count(s.Ready, "standby", "standbys"))
	}
	if p := c.Probation; p != nil {
		text += fmt.Sprintf(", on probation for %s", j.until(*p))
	}
	j.serving = append(j.serving, text)
	if since := SilentSince(c, j.now); !since.IsZero() {
		j.silent = true
		j.problem(Problem{
			Severity: Error, Child: c.Name, Text: fmt.Sprintf("child %s does not answer for %s", c.Name, j.since(since)),
			Why:  fmt.Sprintf("process %d gives no sign of life", active.Pid),
			Next: "it is ended and started again when it is silent for as long as the option watchdog says",
		})
	}
	e := Failure(c)
	recent := e != nil && j.now.Sub(e.At) < notedFor
	if s := c.Standby; s != nil && s.Ready < s.Wanted {
		p := Problem{
			Severity: Warn, Child: c.Name, Next: "the next one starts by itself",
			Text: fmt.Sprintf("child %s has %d of %s ready", c.Name, s.Ready, Count(s.Wanted, "standby", "standbys")),
		}
		if recent {
			p.Why, recent = fmt.Sprintf("a process that was %s ended %s ago: %s", cmp.Or(e.Role, "running"), j.since(e.At), Ended(e)), false
		}
		j.problem(p)
	}
	if recent {
		j.note("child %s: a process ended %s ago: %s", c.Name, j.since(e.At), Ended(e))
	}
	if w := c.Waiting; w != nil && w.Changes > 0 {
		j.note("child %s: %s for %s", c.Name, Count(w.Changes, "change waits", "changes wait"), waitsFor(w))
	}
}

func waitsFor(w *supervisor.Waiting) string {
	if w.Processes > 0 {
		return Count(w.Processes, "process that finishes", "processes that finish")
	}
	return "the one under way"
}

// Paused reports whether a child serves nothing because an operator wants it so.
func Paused(st *supervisor.Status) bool { return st.State == "stopped" || st.State == "stopping" }

// down judges a child of which nothing accepts.
func (j *judging) down(c *supervisor.Status) {
	j.silent = true
	p := Problem{Severity: Error, Child: c.Name, Text: fmt.Sprintf("child %s is %s for %s", c.Name, c.State, j.since(c.Since))}
	if e := c.LastExit; e != nil && (c.State == "backoff" || !e.Planned()) {
		p.Why = fmt.Sprintf("its last process ended %s ago: %s", j.since(e.At), Ended(e))
	}
	switch c.State {
	case "stopped":
		p.Next = "start it: caddy broker start " + c.Name
	case "backoff":
		p.Text = fmt.Sprintf("child %s is down for %s", c.Name, j.since(c.Since))
		if c.NextStart != nil {
			p.Next = fmt.Sprintf("the next start is in %s; caddy broker start %s starts it at once", j.until(*c.NextStart), c.Name)
		}
	case "starting", "ready":
		p.Next = "it serves when it has loaded its configuration; users wait until then"
	}
	j.problem(p)
}

// Ended is how a process ended, in a line.
func Ended(e *exits.Exit) string {
	text := fmt.Sprintf("%s, code %d", e.Reason, e.Code)
	switch {
	case e.Reason == "hang": // it was ended by us
		text = e.Reason
	case e.Signal != "":
		text = e.Reason + ", " + e.Signal
	}
	if f := e.InFlight; f != nil && f.Requests > 0 {
		text += fmt.Sprintf(", %s cut", Count(f.Requests, "request", "requests"))
		if f.InDoubt > 0 {
			text += fmt.Sprintf(" (%d in doubt)", f.InDoubt)
		}
	}
	if why := cmp.Or(e.Error, e.Fault); why != "" {
		text += ": " + why
	}
	return text
}

// deref is the time that p points to, or zero.
func deref(p *time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	return *p
}
