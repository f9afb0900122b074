// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// An event of a pool is one line of the log: its name, its data, and a summary, which says
// what happened and why, what that did to users, and what happens next. Its level goes
// by what it did: error if requests wait or fail, warn if a backend is missing, info if it
// was asked for, or all is well again.

const (
	fieldSummary  = "summary"
	fieldSeverity = "severity"
)

// Tell is an event with its summary and its severity.
func Tell(name string, data map[string]any) Event {
	level, text := voice(name, said(data))
	data[fieldSummary], data[fieldSeverity] = text, strings.ToLower(level.String())
	return Event{Name: name, Data: data}
}

// Line is the event as a line of a log.
func (e Event) Line() (level slog.Level, attrs []any) {
	text, _ := e.Data[fieldSeverity].(string)
	if level.UnmarshalText([]byte(text)) != nil {
		level = slog.LevelInfo
	}
	for _, name := range slices.Sorted(maps.Keys(e.Data)) {
		if name != fieldSeverity { // which is the line's level
			attrs = append(attrs, name, e.Data[name])
		}
	}
	return level, attrs
}

type said map[string]any

func (d said) text(name string) string { s, _ := d[name].(string); return s }

// requests is so many of them.
func requests(n any) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%v requests", n)
}

// clients are those who move, as many as are counted.
func (d said) clients() string {
	switch n := d["clients"]; n {
	case nil:
		return "clients that are elsewhere"
	case int64(1), 1:
		return "1 client that is elsewhere"
	default:
		return fmt.Sprintf("%v clients that are elsewhere", n)
	}
}

// good is the level of good news: another one where something else tells it.
func (d said) good(level, quiet slog.Level) slog.Level {
	if d["quiet"] == true {
		return quiet
	}
	return level
}

// how is why something failed, with the error.
func (d said) how() string {
	if err := d.text("error"); err != "" {
		return d.text("reason") + ": " + err
	}
	return d.text("reason")
}

func (d said) time(name string) time.Duration {
	n, _ := d[name].(float64)
	at := time.Duration(n * float64(time.Second))
	if at > 10*time.Second {
		return at.Round(100 * time.Millisecond)
	}
	return at.Round(time.Millisecond)
}

// Seconds is a time as events have it, to the millisecond.
func Seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func voice(name string, d said) (slog.Level, string) {
	upstream := fmt.Sprintf("upstream %s of pool %s", d.text("upstream"), d.text("pool"))
	switch name {
	case "failover_interrupted":
		return sayLost(upstream, d)
	case "failover_resumed":
		return d.good(slog.LevelInfo, slog.LevelDebug), fmt.Sprintf("%s serves again: it was away for %s", upstream, d.time("away_seconds"))
	case "failover_steady":
		return slog.LevelInfo, fmt.Sprintf("%s has stayed up for a minute, after it was lost %v times in a row", upstream, d["losses"])
	case "failover_recovered":
		return slog.LevelInfo, sayRecovered(d)
	case "failover_failback":
		if d["manual"] == true {
			return slog.LevelInfo, fmt.Sprintf("pool %s: %s move back to their own upstreams, as an operator said", d.text("pool"), d.clients())
		}
		text := upstream + " is home again: "
		if away := d.time("away_seconds"); away > 0 {
			text += fmt.Sprintf("it was away for %s, and ", away)
		}
		return d.good(slog.LevelInfo, slog.LevelDebug), fmt.Sprintf("%s%s move back to it with their next requests", text, d.clients())
	case "failover_exhausted":
		return slog.LevelError, fmt.Sprintf("pool %s: none of its upstreams has answered in %v passes, the last with %s: requests get 503 at once; the passes go on, and the first answer ends this",
			d.text("pool"), d["failed_passes"], d.text("error"))
	case "failover_drained":
		if by := d.text("by"); by != "" {
			upstream += " is drained by " + by
		} else {
			upstream += " is drained"
		}
		if d["left"] == 0 {
			return slog.LevelError, fmt.Sprintf("%s, and with it all are: requests get 503 until `caddy broker resume` puts one back", upstream)
		}
		return slog.LevelInfo, fmt.Sprintf("%s: it finishes what it has and gets no new requests until `caddy broker resume`", upstream)
	case "failover_in_doubt":
		return slog.LevelError, fmt.Sprintf("%s to %s may have been executed without an answer; they are not sent again: compare `caddy broker in-doubt` with what the upstream has", requests(d["requests"]), upstream)
	case "failover_failing":
		return slog.LevelWarn, fmt.Sprintf("%s has answered its last %v requests with 5xx, and nothing else: its clients get these answers, since an answer is no failure; see what is wrong there, or drain it", upstream, d["answers"])
	case "failover_answering":
		return slog.LevelInfo, upstream + " answers with something else than 5xx again"
	case "failover_unhealthy":
		return slog.LevelWarn, upstream + " gets no requests, because a health check of the configuration calls it unhealthy; clients go to others until it is healthy"
	case "failover_healthy":
		return slog.LevelInfo, upstream + " is healthy again by the health check of the configuration"
	case "failover_membership":
		if d["change"] == "drained" { // failover_drained says it
			return slog.LevelDebug, upstream + " is drained"
		}
		return slog.LevelInfo, fmt.Sprintf("%s: %s", upstream, d.text("change"))
	}
	return slog.LevelInfo, ""
}

func sayLost(upstream string, d said) (slog.Level, string) {
	text := fmt.Sprintf("%s is lost (%s)", upstream, d.how())
	level := slog.LevelWarn
	switch {
	case d["failed_over"] == true:
		text += ": requests go to others"
	case d["code"] == "DISCONNECT":
		level = slog.LevelError
		text += ": no other one serves, and requests fail"
	default:
		level = slog.LevelError
		text += ": no other one serves, and requests wait"
	}
	switch n, _ := d["losses"].(int); {
	case n == 3:
		text += "; it flaps: further losses are at level debug until it has stayed up for a minute"
	case n > 3 && level == slog.LevelWarn:
		level = slog.LevelDebug
	}
	return level, text + "; it is probed until it answers"
}

func sayRecovered(d said) string {
	text := fmt.Sprintf("pool %s serves again, with %s: it was away for %s", d.text("pool"), d.text("upstream"), d.time("away_seconds"))
	waited, _ := d["waited"].(int)
	if waited == 0 {
		return text + ", and no request waited"
	}
	text += fmt.Sprintf(", %s waited, the longest %s", requests(waited), d.time("longest_seconds"))
	if d["refused"] == 0 {
		text += ", none lost"
	} else {
		text += fmt.Sprintf(", %v of them got an error", d["refused"])
	}
	if left, _ := d["left"].(int); left > 0 {
		text += fmt.Sprintf("; %d clients left", left)
	}
	return text
}
