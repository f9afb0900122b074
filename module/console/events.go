// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
)

// maxText bounds a text of strangers in a line of the page, in bytes.
const maxText = 400

// short is such a text.
func short(v any) string { return plain.Line(fmt.Sprint(v), maxText) }

// told is an event in words.
type told struct {
	history.Event
	// Level is error where users are affected, warn where redundancy or capacity is lost,
	// and info otherwise.
	Level, Text string
}

// tell puts an event into words.
func tell(e history.Event) told {
	t := told{Event: e, Level: "info"}
	get := func(name string) string {
		if v := e.Data[name]; v != nil && v != "" {
			return short(v)
		}
		return ""
	}
	number := func(name string) int {
		switch n := e.Data[name].(type) {
		case int:
			return n
		case int64:
			return int(n)
		case float64: // of another process
			return int(n)
		}
		return 0
	}
	if said := get("message"); said != "" {
		t.Text = said
	}
	child, pid, upstream := get("child"), get("pid"), get("upstream")
	where := upstream
	if pool := get("pool"); pool != "" {
		where = strings.TrimSpace(upstream + " in pool " + pool)
	}
	text := ""
	switch e.Name {
	case "broker_child_started":
		text = fmt.Sprintf("child %s: process %s was started", child, pid)
	case "broker_child_ready":
		text = fmt.Sprintf("child %s: process %s is ready", child, pid)
	case "broker_child_promoted":
		text = fmt.Sprintf("child %s: the standby %s serves now", child, pid)
	case "broker_child_replaced":
		text = fmt.Sprintf("child %s: process %s serves in the place of %s, which finishes what it has", child, pid, get("replaced_pid"))
	case "broker_child_stopped":
		text = fmt.Sprintf("child %s was stopped", child)
	case "broker_child_exited":
		t.Level, text = tellExit(child, pid, get, number)
	case "failover_interrupted":
		t.Level, text = "warn", fmt.Sprintf("backend %s was lost: %s", where, strings.Trim(get("reason")+": "+get("error"), ": "))
		if e.Data["failed_over"] == true {
			text += "; its clients go to another one"
		} else {
			t.Level, text = "error", text+"; there is no other one"
		}
	case "failover_resumed":
		text = fmt.Sprintf("backend %s serves again", where)
	case "failover_failback":
		text = fmt.Sprintf("%s go back to %s", overview.Count(number("clients"), "client", "clients"), where)
	case "failover_exhausted":
		t.Level, text = "error", fmt.Sprintf("pool %s has given up: %s", get("pool"), get("error"))
	case "failover_in_doubt":
		t.Level, text = "error", fmt.Sprintf("%s in doubt at %s", overview.Count(max(1, number("requests")), "request is", "requests are"), where)
	case "failover_membership":
		text = fmt.Sprintf("pool %s: %s %s", get("pool"), get("change"), upstream)
	default:
		text = generic(e)
	}
	if t.Text == "" {
		t.Text = text
	}
	return t
}

func tellExit(child, pid string, get func(string) string, number func(string) int) (level, text string) {
	level, text = "warn", fmt.Sprintf("child %s: process %s ended: %s", child, pid, get("reason"))
	if signal := get("signal"); signal != "" {
		text += ", " + signal
	} else if code := get("code"); code != "" {
		text += ", code " + code
	}
	if why := get("error"); why != "" {
		text += ": " + why
	}
	if n := number("requests"); n > 0 {
		level, text = "error", text+fmt.Sprintf("; %s cut, %d in doubt", overview.Count(n, "request was", "requests were"), number("in_doubt"))
	}
	switch get("reason") {
	case "stop", "replace", "recycled":
		level = "info"
	case "start_failure", "spawn":
		level = "error"
	}
	return level, text
}

// generic is an event of which no more is known than its name and what it says.
func generic(e history.Event) string {
	var parts []string
	for name, v := range e.Data {
		parts = append(parts, name+" "+short(v))
	}
	slices.Sort(parts)
	return short(strings.TrimPrefix(strings.TrimPrefix(strings.ReplaceAll(e.Name, "_", " "), "broker "), "failover ") + ": " + strings.Join(parts, ", "))
}
