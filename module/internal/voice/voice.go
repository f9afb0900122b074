// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package voice

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
)

// An event of a child is one line of the log: its name, by which lines are searched; its
// data; and a summary, which says what happened and why, what that did to users, what
// happens next, and what to do where there is something to do. Its level goes by what it
// did: error if users were affected, warn if redundancy is lost or something is
// tried again, info if it was asked for.

// Fields of every event.
const (
	FieldSummary  = "summary"
	FieldSeverity = "severity"
)

// Spoken is an event of a child with its summary and its severity.
func Spoken(e supervisor.Event) supervisor.Event {
	level, text := voice(e)
	data := maps.Clone(e.Data)
	data[FieldSummary], data[FieldSeverity] = text, level.String()
	return supervisor.Event{Name: e.Name, Data: data}
}

// Severity is the level at which an event is logged.
func Severity(e supervisor.Event) zapcore.Level {
	text, _ := e.Data[FieldSeverity].(string)
	level, err := zapcore.ParseLevel(text)
	if err != nil {
		return zap.InfoLevel
	}
	return level
}

// facts are an event's data.
type facts map[string]any

func (f facts) text(name string) string { s, _ := f[name].(string); return s }
func (f facts) count(name string) int   { n, _ := f[name].(int); return n }

// time is a number of seconds as people read it, and whether there is one.
func (f facts) time(name string) (string, bool) {
	n, ok := f[name].(float64)
	d := time.Duration(n * float64(time.Second))
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	}
	return strings.Replace(d.String(), "m0s", "m", 1), ok
}

// child names the process that an event is about.
func (f facts) child() string {
	name := fmt.Sprintf("child %s", f.text("child"))
	switch role := f.text("role"); role {
	case "standby":
		return "standby of " + name
	case "candidate":
		return "replacement of " + name
	case "draining":
		return "replaced process of " + name
	}
	return name
}

// voice is the level of an event of a child, and its summary.
func voice(e supervisor.Event) (zapcore.Level, string) {
	f := facts(e.Data)
	switch e.Name {
	case "broker_child_started":
		return zap.DebugLevel, f.child() + " is being started"
	case "broker_child_ready":
		return zap.InfoLevel, sayReady(f)
	case "broker_child_exited":
		return sayExited(f)
	case "broker_child_promoted":
		if f.text("after") == "rollback" {
			return zap.InfoLevel, f.child() + ": a process of the configuration before serves now, in the place of the one that has died"
		}
		if f.text("after") == "death" {
			return zap.InfoLevel, f.child() + ": the standby serves now, in the place of the process that has died"
		}
		return zap.InfoLevel, f.child() + ": the standby serves now, as it was told to"
	case "broker_child_replaced":
		return zap.InfoLevel, fmt.Sprintf("%s: another process serves now; process %v finishes what it has in progress", f.child(), f["replaced_pid"])
	case "broker_child_recycled":
		return sayRecycled(f)
	case "broker_child_stopped":
		return zap.InfoLevel, f.child() + " is stopped, as it was told to; `caddy broker start` starts it"
	case "broker_child_silent":
		silent, _ := f.time("silent_seconds")
		ends, _ := f.time("ends_in_seconds")
		level := zap.WarnLevel
		if f.text("role") == "active" {
			level = zap.ErrorLevel // what cannot prove that it answers does not answer users
		}
		return level, fmt.Sprintf("%s has given no sign of life for %s: requests may wait; unless it does, it is ended in %s and started again", f.child(), silent, ends)
	case "broker_child_responds":
		return zap.InfoLevel, f.child() + " gives signs of life again"
	case "broker_standby_lost":
		next, _ := f.time("next_start_seconds")
		return zap.WarnLevel, fmt.Sprintf("%s has %d of %d standbys: until there are more, a crash costs the time of a start; the next start is in %s", f.child(), f.count("ready"), f.count("wanted"), next)
	case "broker_standby_restored":
		return zap.InfoLevel, fmt.Sprintf("%s has all of its standbys again: %d", f.child(), f.count("ready"))
	case "broker_reload_failed":
		return zap.WarnLevel, "the configuration that was to be loaded is not in effect, and what served before serves on: " + f.text("error")
	case "broker_reload_rolled_back":
		if automatic, _ := f["automatic"].(bool); automatic {
			return zap.ErrorLevel, "the configuration that was loaded last did not serve well, and the one before serves again: " + f.text("error") +
				"; mend it, and load it again"
		}
		return zap.WarnLevel, "an earlier configuration serves than the one that was loaded last: " + f.text("error")
	case "failover_in_doubt":
		return zap.ErrorLevel, fmt.Sprintf("%s may have been executed without an answer, because %s; they are not sent again: compare `caddy broker in-doubt` with what the backends have",
			plural(f.count("requests"), "request"), f.text("reason"))
	}
	return zap.InfoLevel, ""
}

func sayReady(f facts) string {
	took, _ := f.time("start_seconds")
	if f.text("role") == "standby" {
		return fmt.Sprintf("%s is ready after %s, and waits", f.child(), took)
	}
	if gap, ok := f.time("gap_seconds"); ok {
		return fmt.Sprintf("%s serves again; it was away for %s, and %s", f.child(), gap, servedAgain(control.PassesSockets))
	}
	return fmt.Sprintf("%s is ready to serve after %s", f.child(), took)
}

// sayRecycled says why a process was replaced that had too much memory.
func sayRecycled(f facts) (zapcore.Level, string) {
	own, _ := f["own_memory_bytes"].(int64)
	limit, _ := f["max_memory_bytes"].(int64)
	text := fmt.Sprintf("%s: another process serves now, because process %v had %s of memory for itself, and max_memory is %s; it finishes what it has in progress",
		f.child(), f["replaced_pid"], memory.MiB(own), memory.MiB(limit))
	if helpless, _ := f["helpless"].(bool); helpless {
		return zap.ErrorLevel, fmt.Sprintf("%s; this is the replacement number %d in a row and memory still grows: look for what leaks, or raise max_memory; it is replaced on, but this is not said again",
			text, f.count("in_a_row"))
	}
	return zap.WarnLevel, text
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
