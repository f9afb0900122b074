// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func before(d time.Duration) time.Time   { return now.Add(-d) }
func later(d time.Duration) *time.Time   { at := now.Add(d); return &at }
func earlier(d time.Duration) *time.Time { return later(-d) }

// serving is a broker of which nothing is wrong: a child with a spare, two pools.
func serving() *overview.Overview {
	up := report.UpstreamStatus{State: "up", Since: before(time.Hour)}
	upstream := func(uri string) report.UpstreamStatus { u := up; u.URI = uri; return u }
	return &overview.Overview{
		Children: []*supervisor.Status{{
			Name: "default", State: "active", Pid: 7, Since: before(time.Hour), Standby: &supervisor.StandbyStatus{Wanted: 1, Ready: 1},
			Processes: []supervisor.ProcessStatus{{
				Pid: 7, State: "active", Started: before(2 * time.Hour), Ready: earlier(time.Hour + 2*time.Minute), LastHeartbeat: earlier(time.Second),
			}},
		}},
		Pools: []report.PoolStatus{
			{Name: "shop", State: "connected", Upstreams: []report.UpstreamStatus{upstream("http://a:80"), upstream("http://b:80")}},
			{Name: "blog", State: "connected", Upstreams: []report.UpstreamStatus{upstream("http://a:80")}},
		},
		Reload: &overview.Reload{At: before(time.Minute), Result: overview.Served},
	}
}

func TestJudge(t *testing.T) {
	crash := &exits.Exit{
		Code: 139, Signal: "SIGSEGV", At: before(24 * time.Second), Reason: "crash", Fault: "fatal error: boom", Role: "active",
		InFlight: &exits.InFlight{Requests: 3, InDoubt: 1},
	}
	const crashed = "crash, SIGSEGV, 3 requests cut (1 in doubt): fatal error: boom"
	for name, c := range map[string]struct {
		change  func(o *overview.Overview)
		summary string
		problem string // severity, text, why and next of the worst
		notes   string
	}{
		"all right": {
			func(*overview.Overview) {},
			"all right: default serves for 1h2m, 1 standby; 2 pools, 3/3 upstreams up", "", "",
		},
		"in one process": {
			func(o *overview.Overview) { o.Children = nil },
			"all right: this process serves; 2 pools, 3/3 upstreams up", "", "",
		},
		"in back-off": {
			func(o *overview.Overview) {
				c := o.Children[0]
				c.State, c.Since, c.LastExit, c.NextStart, c.Processes = "backoff", before(time.Second), crash, later(3*time.Second), nil
				o.PoolsError, o.Pools = "no process", nil
			},
			"NOT all right: child default is down for 1s",
			"error|child default is down for 1s|its last process ended 24s ago: " + crashed +
				"|the next start is in 3s; caddy broker start default starts it at once", "",
		},
		"stopped": {
			func(o *overview.Overview) {
				c := o.Children[0]
				c.State, c.Since, c.Processes, c.LastExit = "stopped", before(time.Minute), nil, &exits.Exit{Reason: "stop"}
			},
			"NOT all right: child default is stopped for 1m",
			"error|child default is stopped for 1m||start it: caddy broker start default", "",
		},
		"silent": {
			func(o *overview.Overview) {
				o.Children[0].Processes[0].LastHeartbeat, o.PoolsError, o.Pools = earlier(5*time.Second), "no answer", nil
			},
			"NOT all right: child default does not answer for 5s",
			"error|child default does not answer for 5s|process 7 gives no sign of life|it is ended and started again when it is silent for as long as the option watchdog says", "",
		},
		"pools unknown": {
			func(o *overview.Overview) { o.PoolsError, o.Pools = "no answer", nil },
			"NOT all right: what the pools are like is not known",
			"error|what the pools are like is not known|no answer|ask again", "",
		},
		"standby lost": {
			func(o *overview.Overview) {
				o.Children[0].Standby.Ready = 0
				o.Children[0].LastExit = &exits.Exit{Reason: "killed", Signal: "SIGKILL", Role: "standby", At: before(time.Second)}
			},
			"NOT all right: child default has 0 of 1 standby ready",
			"warn|child default has 0 of 1 standby ready|a process that was standby ended 1s ago: killed, SIGKILL|the next one starts by itself", "",
		},
		"recovered from a crash": {
			func(o *overview.Overview) { o.Children[0].LastExit = crash },
			"all right: default serves for 1h2m, 1 standby; 2 pools, 3/3 upstreams up", "",
			"child default: a process ended 24s ago: " + crashed,
		},
		"a restart after a crash": {
			func(o *overview.Overview) {
				o.Children[0].LastExit = &exits.Exit{Reason: "replace", At: before(time.Second)}
				o.Children[0].LastFailure = crash
			},
			"all right: default serves for 1h2m, 1 standby; 2 pools, 3/3 upstreams up", "",
			"child default: a process ended 24s ago: " + crashed,
		},
		"an upstream down": {
			func(o *overview.Overview) {
				u := &o.Pools[0].Upstreams[1]
				u.State, u.Since, u.LastError, u.NextProbe = "down", before(16*time.Second), "connection refused", later(time.Second)
			},
			"NOT all right: http://b:80 is down for 16s",
			"warn|http://b:80 is down for 16s|connection refused|the others of its pool serve; it is asked again in 1s", "",
		},
		"no upstream": {
			func(o *overview.Overview) {
				p := &o.Pools[0]
				p.State, p.Waiting, p.NextAttempt = "reconnecting", 3, later(200*time.Millisecond)
				for i := range p.Upstreams {
					u := &p.Upstreams[i]
					u.State, u.Since, u.LastError = "down", before(time.Duration(16+i)*time.Second), "connection refused"
				}
				o.Reload.Result, o.Reload.Error = overview.Failed, "unrecognized directive"
			},
			"NOT all right (2 problems): pool shop: no upstream serves for 16s, 3 requests wait",
			"error|pool shop: no upstream serves for 16s, 3 requests wait|connection refused|the next attempt is in 200ms", "",
		},
		"all drained": {
			func(o *overview.Overview) {
				o.Pools[1].State, o.Pools[1].Upstreams[0].State = "all drained", "drained"
				o.Pools[1].Upstreams[0].Drained = &report.Drained{Since: before(72 * time.Hour), By: "alice"}
			},
			"NOT all right: pool blog: every upstream is drained, requests get 503",
			"error|pool blog: every upstream is drained, requests get 503||let one serve again: caddy broker resume ADDRESS",
			"http://a:80 is drained for 3d0h by alice",
		},
		"reload failed": {
			func(o *overview.Overview) {
				o.Reload.Result, o.Reload.Error = overview.Failed, "unrecognized directive"
			},
			"NOT all right: the reload 1m ago failed",
			"warn|the reload 1m ago failed|unrecognized directive|the configuration of before serves on; mend the new one and reload", "",
		},
		"rolled back": {
			func(o *overview.Overview) { o.Reload.Result = overview.RolledBack },
			"NOT all right: the reload 1m ago was rolled back",
			"warn|the reload 1m ago was rolled back||the configuration of before serves on; mend the new one and reload", "",
		},
		"unchanged": {
			func(o *overview.Overview) { o.Reload.Result = overview.Unchanged },
			"all right: default serves for 1h2m, 1 standby; 2 pools, 3/3 upstreams up", "", "",
		},
		"what operators decided": {
			func(o *overview.Overview) {
				for i := range o.Pools { // the drain of an address holds in both
					o.Pools[i].Upstreams[0].State = "drained"
					o.Pools[i].Upstreams[0].Drained = &report.Drained{Since: before(time.Minute), By: "alice"}
				}
				o.Pools = append(o.Pools[:1:1], report.PoolStatus{Name: "blog", State: "connected", Upstreams: []report.UpstreamStatus{
					o.Pools[1].Upstreams[0], {URI: "http://c:80", State: "up", Manual: true}, {URI: "http://d:80", State: "removed", Requests: 1},
				}})
				o.InDoubt = &overview.InDoubt{Requests: 1, Last: before(time.Minute)}
			},
			"all right: default serves for 1h2m, 1 standby; 2 pools, 2/4 upstreams up", "",
			"http://a:80 is drained for 1m by alice|pool blog: all clients were sent to http://c:80 by hand: caddy broker failback blog|" +
				"1 request in doubt, the last 1m ago: caddy broker in-doubt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := serving()
			c.change(o)
			v := o.Judge(now)
			if v.Summary != c.summary {
				t.Errorf("summary:\n%s\nwant\n%s", v.Summary, c.summary)
			}
			problem := ""
			if len(v.Problems) > 0 {
				p := v.Problems[0]
				problem = strings.Join([]string{p.Severity, p.Text, p.Why, p.Next}, "|")
			}
			if problem != c.problem {
				t.Errorf("problem:\n%s\nwant\n%s", problem, c.problem)
			}
			if notes := strings.Join(v.Notes, "|"); notes != c.notes {
				t.Errorf("notes:\n%s\nwant\n%s", notes, c.notes)
			}
			if v.AllRight != (c.problem == "") || v.AllRight != strings.HasPrefix(v.Summary, "all right: ") {
				t.Errorf("all right: %v, and %q", v.AllRight, v.Summary)
			}
		})
	}
}
