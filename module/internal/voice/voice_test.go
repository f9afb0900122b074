// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package voice

import (
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// Each change of a child is one sentence that says what happened and why, what it did to
// users, and what happens next.
func TestVoice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event string
		data        map[string]any
		level, want string
	}{
		{
			"crash", "broker_child_exited",
			map[string]any{
				"child": "default", "role": "active", "reason": "crash", "fault": "panic: nil map", "uptime_seconds": 24.03, "requests": 3, "in_doubt": 1,
				"deaths": 1, "next_start_seconds": 2.0,
			},
			"error", "child default crashed (panic: nil map) after 24s: 3 requests cut, 1 of them in doubt; next start in 2s; until it is ready connections wait; `caddy broker last-exit default` has what it left",
		},
		{
			"crash loop", "broker_child_exited",
			map[string]any{"child": "default", "role": "starting", "reason": "start_failure", "error": "bind: in use", "code": 1, "uptime_seconds": .3, "deaths": 4, "next_start_seconds": 16.0, "held": true},
			"error", "child default ended before it was ready (bind: in use) after 300ms; next start in 16s, after 4 deaths in a row; until then plain HTTP is answered with 503, and other connections wait; `caddy broker last-exit default` has what it left",
		},
		{
			"crash with a standby", "broker_child_exited",
			map[string]any{"child": "default", "role": "active", "reason": "killed", "signal": "SIGKILL", "uptime_seconds": 60.0, "standby_pid": 7, "deaths": 1, "next_start_seconds": 2.0},
			"warn", "child default was killed (SIGKILL) after 1m: no request was in progress; standby 7 serves at once; `caddy broker last-exit default` has what it left",
		},
		{
			"standby", "broker_child_exited",
			map[string]any{"child": "default", "role": "standby", "reason": "oom", "signal": "SIGKILL", "uptime_seconds": 60.0, "active_pid": 7},
			"warn", "standby of child default was ended by the system, which had no memory left (SIGKILL) after 1m; what serves is not touched; `caddy broker last-exit default` has what it left",
		},
		{
			"never served", "broker_child_exited",
			map[string]any{"child": "default", "role": "starting", "reason": "spawn", "error": "no such file"},
			"error", "child default could not be started (no such file); nothing serves until it is started; `caddy broker last-exit default` has what it left",
		},
		{
			"what was cut is not known", "broker_child_exited",
			map[string]any{"child": "default", "role": "active", "reason": "crash", "code": 1, "uptime_seconds": 12.0, "requests_unknown": "no account", "standby_pid": 7},
			"error", "child default crashed (exit code 1) after 12s: how many requests were cut is not known; standby 7 serves at once; `caddy broker last-exit default` has what it left",
		},
		{
			"stopped without an account", "broker_child_exited",
			map[string]any{"child": "default", "role": "active", "reason": "stop", "uptime_seconds": 12.0, "requests_unknown": "no account"},
			"info", "child default was stopped after 12s",
		},
		{
			"replaced", "broker_child_exited",
			map[string]any{"child": "default", "role": "draining", "reason": "replace", "uptime_seconds": 3.0, "active_pid": 7},
			"info", "replaced process of child default was replaced and has ended after 3s",
		},
		{
			"hang", "broker_child_exited",
			map[string]any{"child": "default", "role": "active", "reason": "hang", "signal": "SIGABRT", "fault": "SIGABRT: abort", "error": "no heartbeat for 15s", "uptime_seconds": 60.0, "deaths": 1, "next_start_seconds": 2.0},
			"error", "child default hung and was ended (no heartbeat for 15s) after 1m: no request was in progress; next start in 2s; until it is ready connections wait; `caddy broker last-exit default` has what it left",
		},
		{
			"healed", "broker_child_ready",
			map[string]any{"child": "default", "role": "active", "start_seconds": .5, "gap_seconds": 16.04},
			"info", "child default serves again; it was away for 16s, and the connections that waited are served now",
		},
		{
			"silent", "broker_child_silent",
			map[string]any{"child": "default", "role": "active", "silent_seconds": 5.0, "ends_in_seconds": 10.0},
			"error", "child default has given no sign of life for 5s: requests may wait; unless it does, it is ended in 10s and started again",
		},
		{
			"no standby", "broker_standby_lost",
			map[string]any{"child": "default", "ready": 0, "wanted": 1, "next_start_seconds": 2.0},
			"warn", "child default has 0 of 1 standbys: until there are more, a crash costs the time of a start; the next start is in 2s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := Spoken(supervisor.Event{Name: c.event, Data: c.data})
			if e.Data["severity"] != c.level || e.Data["summary"] != c.want {
				t.Errorf("%s: %s\nwant %s: %s", e.Data["severity"], e.Data["summary"], c.level, c.want)
			}
		})
	}
}

// Where a child opens its sockets itself nothing waits while there is none, and no
// sentence says so.
func TestWithoutLentSockets(t *testing.T) {
	t.Parallel()
	for _, said := range []string{untilServed(false, false), untilServed(true, false), servedAgain(false)} {
		if strings.Contains(said, "wait") || !strings.Contains(said, "refused") {
			t.Errorf("%q; want that connections are refused", said)
		}
	}
}
