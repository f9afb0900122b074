// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// maxShown bounds the rows of a list on the page.
const maxShown = 50

// page is what the template gets.
type page struct {
	*snapshot

	// ReadOnly leaves out all buttons.
	ReadOnly bool
	// Stream is where the script hears that something has happened.
	Stream string
	// Done is what an operation has done, if the page follows one.
	Done string
}

// incident is a problem with when it began, what it does to users and what helps.
type incident struct {
	overview.Problem

	Since   time.Time // zero if that is not known
	Effect  string
	Buttons []button
}

// button asks for an operation.
type button struct {
	*operation

	To target
}

// Incidents are what is not all right now.
func (p *page) Incidents() []incident {
	list := make([]incident, 0, len(p.Problems))
	for _, problem := range p.Problems[:min(len(p.Problems), maxShown)] {
		list = append(list, incident{problem, p.since(problem), p.effect(problem), p.help(problem)})
	}
	return list
}

// since is when a problem began.
func (p *page) since(problem overview.Problem) (at time.Time) {
	c := p.child(problem.Child)
	switch {
	case c != nil && overview.Active(c) == nil:
		return c.Since
	case c != nil:
		return overview.SilentSince(c, p.Now)
	case problem.Pool == "" && p.Reload != nil && p.Reload.Result != overview.Served:
		return p.Reload.At
	}
	for _, pool := range p.Pools {
		if pool.Name != problem.Pool {
			continue
		}
		for _, u := range pool.Upstreams { // of a pool without one: since the last was lost
			if (problem.Upstream == "" || problem.Upstream == u.URI) && u.State != "up" && u.Since.After(at) {
				at = u.Since
			}
		}
	}
	return at
}

// effect says what a problem does to users.
func (p *page) effect(problem overview.Problem) string {
	switch {
	case problem.Upstream != "":
		return p.effectOnClients(problem)
	case problem.Pool != "" && problem.Severity == overview.Error:
		return "Requests of this pool wait for a backend or are answered with 503."
	case problem.Child == "":
		if problem.Severity == overview.Warn {
			return "None on users: what served before serves on."
		}
		return ""
	}
	c := p.child(problem.Child)
	switch {
	case c == nil:
		return ""
	case overview.Active(c) != nil && problem.Severity == overview.Warn:
		return "None now. If the process that serves dies, users wait until a new one has loaded."
	case overview.Active(c) != nil:
		return "Users get no answers from it."
	case c.State == "stopped":
		return "Nothing serves its users."
	}
	text := "Nothing serves: who connects waits"
	if c.NextStart != nil && c.NextStart.Sub(p.Now) > 5*time.Second {
		text += " or gets 503"
	}
	if e := p.Exits[problem.Child].Exit; e != nil && e.InFlight != nil && e.InFlight.Requests > 0 {
		text += fmt.Sprintf("; %s cut, %d of them in doubt", overview.Count(e.InFlight.Requests, "request was", "requests were"), e.InFlight.InDoubt)
	}
	return text + "."
}

// effectOnClients says where the clients of an upstream are that is down.
func (p *page) effectOnClients(problem overview.Problem) string {
	for _, pool := range p.Pools {
		if pool.Name != problem.Pool {
			continue
		}
		var others []string
		for _, u := range pool.Upstreams {
			if u.URI != problem.Upstream && overview.Takes(u) {
				others = append(others, u.URI)
			}
		}
		if len(others) == 0 {
			return ""
		}
		more := ""
		if len(others) > 3 {
			others, more = others[:3], fmt.Sprintf(" and %d more", len(others)-3)
		}
		return "None on users now: requests go to " + strings.Join(others, ", ") + more + "."
	}
	return ""
}

// help is what may be done about a problem.
func (p *page) help(problem overview.Problem) []button {
	if c := p.child(problem.Child); c != nil && overview.Active(c) == nil {
		return p.ForChild(c)
	}
	var list []button
	for _, pool := range p.Pools {
		if pool.Name == problem.Pool && pool.State == "all drained" {
			for _, u := range pool.Upstreams {
				list = append(list, p.ForUpstream(pool, u)...)
			}
		}
	}
	return list
}

func pressable(t target, names ...string) []button {
	list := make([]button, 0, len(names))
	for _, name := range names {
		list = append(list, button{find(name), t})
	}
	return list
}

// ForChild are the operations that make sense for a child now.
func (p *page) ForChild(c *supervisor.Status) []button {
	t := target{Child: c.Name}
	switch c.State {
	case "stopped":
		return pressable(t, "start")
	case "stopping":
		return pressable(t, "force")
	case "backoff":
		return pressable(t, "start", "stop")
	case "active":
		names := []string{"restart"}
		if slices.ContainsFunc(c.Processes, func(q supervisor.ProcessStatus) bool { return q.State == "standby" }) {
			names = append(names, "promote")
		}
		if c.Name == broker.DefaultChild && broker.Reloadable() {
			names = append(names, "reload")
		}
		return pressable(t, append(names, "stop", "force")...)
	default:
		return pressable(t, "stop", "force")
	}
}

// ForPool are those for a pool.
func (p *page) ForPool(pool report.PoolStatus) []button {
	t := target{Pool: pool.Name}
	if slices.ContainsFunc(pool.Upstreams, func(u report.UpstreamStatus) bool { return u.Manual }) {
		return pressable(t, "failback")
	}
	if len(pool.Upstreams) < 2 {
		return nil
	}
	return pressable(t, "next", "failback", "rebalance")
}

// ForUpstream are those for an upstream.
func (p *page) ForUpstream(pool report.PoolStatus, u report.UpstreamStatus) []button {
	t := target{Pool: pool.Name, URI: u.URI}
	switch {
	case u.State == "drained":
		return pressable(t, "resume")
	case u.State == "removed":
		return nil
	case overview.Takes(u) && !u.Manual && len(pool.Upstreams) > 1:
		return pressable(t, "drain", "failover")
	default:
		return pressable(t, "drain")
	}
}

// Since is when an upstream came into its state: a drain, when it was decided.
func (p *page) Since(u report.UpstreamStatus) time.Time {
	if u.Drained != nil {
		return u.Drained.Since
	}
	return u.Since
}

// Reason is why an upstream is as it is, and Next what comes next.
func (p *page) Reason(u report.UpstreamStatus) string {
	switch {
	case u.Drained != nil:
		return "by " + short(u.Drained.By)
	case u.Manual:
		return "all clients were sent here by hand"
	case u.LastError != "":
		if u.LastErrorAt == nil {
			return short(u.LastError)
		}
		return fmt.Sprintf("%s (%s ago)", short(u.LastError), overview.Span(p.Now.Sub(*u.LastErrorAt)))
	}
	return ""
}

// Next is what happens next with an upstream, or what to do.
func (p *page) Next(u report.UpstreamStatus) string {
	switch {
	case u.State == "drained":
		return "resume it"
	case u.State == "removed":
		return "it finishes its requests"
	case u.State == "trial":
		return "the next request decides"
	case u.NextProbe != nil && u.State != "up":
		return "asked again in " + overview.Span(u.NextProbe.Sub(p.Now))
	}
	return ""
}

// Shown are the upstreams of a pool that the page shows.
func (p *page) Shown(pool report.PoolStatus) []report.UpstreamStatus {
	list := slices.Clone(pool.Upstreams)
	if len(list) <= maxShown {
		return list
	}
	slices.SortStableFunc(list, func(a, b report.UpstreamStatus) int { // what is wrong first
		return cmp.Compare(rank(a), rank(b))
	})
	return list[:maxShown]
}

func rank(u report.UpstreamStatus) int {
	if u.State == "up" {
		return 1
	}
	return 0
}

// Charts are those of a pool or of an upstream of it.
func (p *page) Charts(pool, upstream string) []*chart {
	return charts(history.Key{Pool: pool, Upstream: upstream}, p.Now)
}

// Bands are the last hour of a child.
func (p *page) Bands(child string) []band { return bands(child, p.Now) }

// Told are the last events in words, without those that only repeat what others say.
func (p *page) Told() []told {
	list := make([]told, 0, maxShown)
	for _, e := range p.Events {
		if len(list) < maxShown {
			list = append(list, tell(e))
		}
	}
	return list
}

// crash is how a process of a child ended.
type crash struct {
	Child string
	*exits.Exit
}

// Crashes are the last ends of processes that were not asked for, of each child.
func (p *page) Crashes() []crash {
	var list []crash
	for _, c := range p.Children {
		last := p.Exits[c.Name]
		e := cmp.Or(last.LastFailure, last.Exit)
		if e != nil && !e.Planned() {
			list = append(list, crash{c.Name, e})
		}
	}
	return list
}

// DoubtsShown are the newest requests in doubt.
func (p *page) DoubtsShown() int { return min(len(p.Doubts), maxShown) }

// Standbys are how many of a child's standbys are ready, in words.
func Standbys(c *supervisor.Status) string {
	if c.Standby == nil || c.Standby.Wanted == 0 {
		return "no standby"
	}
	return fmt.Sprintf("%d of %s ready", c.Standby.Ready, overview.Count(c.Standby.Wanted, "standby", "standbys"))
}
