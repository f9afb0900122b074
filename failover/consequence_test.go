// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// consequence is something that the pool did, as scenario files show it.
type consequence struct {
	at   time.Time
	kind int
	text string
}

// The kinds, in the order in which what happens at one moment is shown: requests,
// pings and the pool's own goroutine run beside each other, and only within a kind
// there is an order.
const (
	kindChoice = iota
	kindPing
	kindRelease
	kindWarm
	kindLog
	kindEvent
)

// noted keeps a consequence. b.mu is held.
func (b *stage) noted(kind int, text string) {
	b.came = append(b.came, consequence{time.Now(), kind, text})
}

// consequences are those since a moment, one a line, and equal ones together: when
// the first came, and how many there were.
func (b *stage) consequences(since time.Time) (lines []string) {
	b.mu.Lock()
	came := b.came
	b.came = nil
	b.mu.Unlock()
	slices.SortStableFunc(came, func(a, b consequence) int {
		order := cmp.Or(a.at.Compare(b.at), cmp.Compare(a.kind, b.kind))
		switch a.kind { // each ping has a goroutine, and so has what follows from it
		case kindPing:
			order = cmp.Or(order, cmp.Compare(a.text, b.text))
		case kindLog, kindEvent:
			order = cmp.Or(order, cmp.Compare(upstreamIn(a.text), upstreamIn(b.text)))
		}
		return order
	})
	count := map[string]int{}
	for _, c := range came {
		count[c.text]++
	}
	for _, c := range came {
		if count[c.text] == 0 {
			continue
		}
		line := c.text
		if n := count[c.text]; n > 1 {
			line += fmt.Sprintf(" (%d times)", n)
		}
		if after := c.at.Sub(since).Round(time.Millisecond); after > 0 {
			line = after.String() + " " + line
		}
		lines, count[c.text] = append(lines, line), 0
	}
	return lines
}

// upstreamIn is the upstream that a line is about; empty for none.
func upstreamIn(text string) string {
	_, after, _ := strings.Cut(text, " upstream=")
	name, _, _ := strings.Cut(after, " ")
	return name
}

// bare is an address as scenarios write it.
func bare(v any) string {
	return strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(v), "http://", ""), ":80", "")
}

func eventText(e report.Event) string {
	text := "event " + strings.TrimPrefix(e.Name, "failover_")
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		if key != "pool" && key != "error" && key != "summary" && key != "severity" {
			text += fmt.Sprintf(" %s=%s", key, bare(e.Data[key]))
		}
	}
	return text
}

// logs makes the pool's log lines consequences.
type logs struct{ b *stage }

func (l logs) Enabled(context.Context, slog.Level) bool { return true }

func (l logs) Handle(_ context.Context, r slog.Record) error {
	text := "log " + strings.ToLower(r.Level.String()) + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		told := strings.HasPrefix(r.Message, "failover_") && a.Key != "summary" && a.Key != "upstream" // the event has it
		if a.Key != "pool" && !told {
			text += fmt.Sprintf(" %s=%s", a.Key, bare(a.Value))
		}
		return true
	})
	l.b.set(func() { l.b.noted(kindLog, text) })
	return nil
}

func (l logs) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logs) WithGroup(string) slog.Handler      { return l }
