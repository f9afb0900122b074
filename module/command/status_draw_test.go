// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

var drawnAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func before(d time.Duration) *time.Time { at := drawnAt.Add(-d); return &at }

// crashed is a broker in trouble: a child in back-off, an upstream down, a reload that
// failed, and a drain.
func crashed() *overview.Overview {
	next := drawnAt.Add(3 * time.Second)
	o := &overview.Overview{
		Version: "caddy-broker v1.2.3, Caddy v2.11.9",
		Children: []*supervisor.Status{{
			Name: "default", State: "active", Pid: 4711, Since: *before(time.Minute), Restarts: 2,
			Standby: &supervisor.StandbyStatus{Wanted: 1},
			LastExit: &exits.Exit{
				Reason: "crash", Signal: "SIGSEGV", Code: 139, At: *before(24 * time.Second), Role: "active", Fault: "fatal error: all is lost",
				InFlight: &exits.InFlight{Requests: 3, InDoubt: 1},
			},
			Processes: []supervisor.ProcessStatus{
				{Pid: 4700, State: "draining", Started: *before(time.Hour)},
				{Pid: 4711, State: "active", Started: *before(time.Minute), LastHeartbeat: before(600 * time.Millisecond)},
			},
		}},
		Pools: []report.PoolStatus{{
			Name: "shop", State: "connected", CountedSince: *before(time.Hour), Failovers: 12,
			Upstreams: []report.UpstreamStatus{
				{URI: "http://10.0.0.1:8080", State: "down", Since: *before(16 * time.Second), Priority: true, NextProbe: &next, LastError: "dial tcp 10.0.0.1:8080: connect: connection refused", Total: 1234567, Failed: 12},
				{URI: "http://a-backend-with-a-long-name.example.com:8080", State: "up", Since: *before(30 * time.Hour), Requests: 7, Total: 8, Backup: "warm"},
				{URI: "http://10.0.0.3:8080", State: "drained", Since: *before(time.Hour), Drained: &report.Drained{Since: *before(2 * time.Hour), By: "alice"}},
			},
		}},
		Reload:  &overview.Reload{At: *before(2 * time.Minute), Result: overview.Failed, Error: "unrecognized directive: shpo", Serving: before(49 * time.Hour)},
		InDoubt: &overview.InDoubt{Requests: 1, Last: *before(24 * time.Second)},
	}
	o.Children[0].LastFailure = &exits.Exit{Reason: "hang", At: *before(50 * time.Hour), Error: "no heartbeat for 15s"}
	o.Verdict = o.Judge(drawnAt)
	return o
}

const crashedPage = `NOT all right (3 problems): child default has 0 of 1 standby ready

warn    child default has 0 of 1 standby ready
  why   a process that was active ended 24s ago: crash, SIGSEGV, 3 requests cut
        (1 in doubt): fatal error: all is lost
  next  the next one starts by itself
warn    http://10.0.0.1:8080 is down for 16s
  why   dial tcp 10.0.0.1:8080: connect: connection refused
  next  the others of its pool serve; it is asked again in 3s
warn    the reload 2m ago failed
  why   unrecognized directive: shpo
  next  the configuration of before serves on; mend the new one and reload
note    http://10.0.0.3:8080 is drained for 2h0m by alice
note    1 request in doubt, the last 24s ago: caddy broker in-doubt

CHILD      STATE     PID   SINCE  HEARTBEAT  STANDBYS  RESTARTS
default    active    4711  1m     600ms ago  0 of 1    2
  process  draining  4700  1h0m   -
last crash of default, 2d2h ago: hang: no heartbeat for 15s

POOL shop: connected, 0 waiting, 12 failovers in the last 1h0m
UPSTREAM              STATE    SINCE  NOW  TOTAL    FAILED
http://10.0.0.1:8080  down     16s    0    1234567  12
  priority, next probe in 3s
http://a-backend-with-a-long-name.example.com:8080
                      up       30h0m  7    8        0
  backup warm
http://10.0.0.3:8080  drained  2h0m   0    0        0
  drained by alice

last reload 2m ago: failed, the configuration of 2d1h ago serves; 1 in doubt;
  caddy-broker v1.2.3, Caddy v2.11.9
`

func draw(t *testing.T, o *overview.Overview) string {
	t.Helper()
	var page strings.Builder
	if err := drawStatus(&page, o, drawnAt); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// TestErrorsOfPools: alone, the table of pools has the errors, with their age.
func TestErrorsOfPools(t *testing.T) {
	u := report.UpstreamStatus{URI: "http://a:80", State: "suspect", LastError: "EOF", LastErrorAt: before(72 * time.Hour)}
	pool := report.PoolStatus{Name: "shop", State: "connected", Upstreams: []report.UpstreamStatus{u}}
	var page strings.Builder
	if err := drawPools(&page, []report.PoolStatus{pool}, "", drawnAt); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "  EOF (3d0h ago)\n") {
		t.Errorf("the page is\n%s", &page)
	}
}

func TestStatusPage(t *testing.T) {
	if page := draw(t, crashed()); page != crashedPage {
		t.Errorf("the page is\n%s\nwant\n%s", page, crashedPage)
	}
}

// checkColumns reports lines that are too long, and what cannot be seen.
func checkColumns(t *testing.T, page string) {
	t.Helper()
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
		if i := strings.IndexFunc(line, unicode.IsControl); i >= 0 {
			t.Errorf("a control code in %q", line)
		}
	}
}

// Whatever names and errors hold, the page keeps to its columns and to plain text.
func TestStatusKeepsToItsColumns(t *testing.T) {
	for name, text := range map[string]string{
		"words": strings.Repeat("word ", 60), "one word": strings.Repeat("ä", 300), "control codes": "\x1b[2J\r\n\ttitle\a",
	} {
		t.Run(name, func(t *testing.T) {
			o := crashed()
			o.Reload.Error, o.Children[0].LastExit.Fault = text, text
			for i := range o.Pools[0].Upstreams {
				o.Pools[0].Upstreams[i].LastError = text
			}
			o.Pools[0].Name, o.Pools[0].Upstreams[0].URI, o.Pools[0].State = text, "http://"+text, "reconnecting"
			o.Pools[0].Waiting, o.Pools[0].FailedPasses, o.Pools[0].NextAttempt = 4096, 1000, before(-time.Minute)
			o.Verdict = o.Judge(drawnAt)
			checkColumns(t, draw(t, o))
		})
	}
}

// twoPages is a writer that takes two pages.
type twoPages struct{ strings.Builder }

func (w *twoPages) WriteString(page string) (int, error) {
	n, _ := w.Builder.WriteString(page)
	if w.Len() > n {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

func TestWatch(t *testing.T) {
	for terminal, want := range map[bool]string{
		false: "NOT all right\ntable\n\nNOT all right\ntable\n\n",
		true:  strings.Repeat("\x1b[HNOT all right\x1b[K\ntable\x1b[K\n\x1b[J", 2),
	} {
		var out twoPages
		if _, err := watchStatus(&out, terminal, func() string { return "NOT all right\ntable\n" }); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("on a terminal: %v: %q, want %q", terminal, out.String(), want)
		}
	}
}

func TestBriefStatus(t *testing.T) {
	const body = `{"children":[{"name":"default","last_exit":{"code":2,"stderr":"long"}}],"pools":[{"name":"a","options":{"x":1},"total":18446744073709551615}]}`
	var out strings.Builder
	if err := writeBrief(&out, []byte(body), false); err != nil {
		t.Fatal(err)
	}
	const want = `{"children":[{"last_exit":{"code":2},"name":"default"}],"pools":[{"name":"a","total":18446744073709551615}]}` + "\n"
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}
