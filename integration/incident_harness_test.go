// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// maxIncidentLines is how many lines the log may have of one incident.
const maxIncidentLines = 6

// incident is something that goes wrong, and what an operator sees of it.
type incident struct {
	name string
	// options are those of the broker, and policy those of the pool p, which has the
	// backends one and two, in that order; extra is more of the sites.
	options, policy, extra string
	// prepare makes extra, if it depends on something that the test starts.
	prepare func(t *testing.T) (extra string)
	// own is whether the broker has a program of its own.
	own bool
	// initial is whether it begins with the broker.
	initial bool
	// stage makes it happen, and returns when it is over or goes on by itself.
	stage func(t *testing.T, s *staged)
	// lines are the log's, in any order: message, level, and parts of the summary.
	lines []wantedLine
	// metric is one with its labels, which has at least that value then.
	metric wantedMetric
	// status are parts of what `caddy broker status` shows.
	status []string
}

type wantedLine struct {
	event, level string
	says         []string
}

type wantedMetric struct {
	name   string
	labels []string
	least  float64
}

// staged is a broker with a pool of two backends, and what is seen of it since it serves.
type staged struct {
	*harness.Broker
	backends []*harness.Backend
	addr     string // of the site
	third    string // of another one, if there is one
	pid      int    // of the child
	client   *harness.Client
	start    int // of the incident, in the output

	mu     sync.Mutex
	events []string // by mu
}

const incidentSites = `{
	admin {$ADMIN}
	auto_https off
	broker {
		restart_delay 1s
		max_restart_delay 4s
		{$OPTIONS}
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {
		lb_policy failover {
			pool p
			randomize false
			{$POLICY}
		}
	}
}
{$EXTRA}
`

// newStaged starts a broker for an incident.
func newStaged(t *testing.T, i *incident) *staged {
	t.Helper()
	extra := i.extra
	if i.prepare != nil {
		extra = i.prepare(t)
	}
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	port := freePort(t)
	sites := strings.NewReplacer("{$OPTIONS}", i.options, "{$POLICY}", i.policy, "{$EXTRA}", extra).Replace(incidentSites)
	s := &staged{Broker: newBroker(t, sites, append(env, "PORT="+port)...), backends: backends[:2], addr: "127.0.0.1:" + port, third: backends[2].Addr}
	s.client = &harness.Client{Addr: s.addr}
	if i.own {
		if err := s.Install(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = awaitActive(t, s.Broker, 0)
	if strings.Contains(i.options, "standby") {
		awaitStandby(t, s.Broker)
		s.await(t, wantedLine{"broker_child_ready", "info", []string{"standby of child default is ready"}})
	}
	s.await(t, wantedLine{"broker_child_ready", "info", []string{"child default is ready to serve"}})
	s.watch(t)
	get(t, s.addr)
	if !i.initial {
		s.start = len(s.Process().Output())
	}
	return s
}

// watch notes the names of all events from now on.
func (s *staged) watch(t *testing.T) {
	t.Helper()
	lines := eventLines(t, s.Broker)
	go func() {
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				s.mu.Lock()
				s.events = append(s.events, event)
				s.mu.Unlock()
			}
		}
	}()
}

// line is one of the log.
type line struct {
	Level, Msg, Logger, Summary string
	raw                         string
}

// lines are those of the incident so far, from level info on, that the broker or one of
// its pools wrote, and all from level warn on.
func (s *staged) lines() (list []line) {
	for raw := range strings.Lines(s.Process().Output()[s.start:]) {
		l := line{raw: raw}
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			l.Msg = "(no entry) " + raw
			list = append(list, l)
			continue
		}
		ours := strings.HasPrefix(l.Msg, "broker_") || strings.HasPrefix(l.Msg, "failover_") || strings.HasPrefix(l.Logger, "broker")
		if ours && l.Level != "debug" || l.Level == "warn" || l.Level == "error" {
			list = append(list, l)
		}
	}
	return list
}

// await waits for a line.
func (s *staged) await(t *testing.T, w wantedLine) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error { return s.said(w) }); err != nil {
		t.Error(err)
	}
}

// said is an error as long as there is no such line.
func (s *staged) said(w wantedLine) error {
	for _, l := range s.lines() {
		if l.Msg == w.event && l.Level == w.level && !slices.ContainsFunc(w.says, func(part string) bool { return !strings.Contains(l.raw, part) }) {
			return nil
		}
	}
	return fmt.Errorf("no line %s at level %s that says %q", w.event, w.level, w.says)
}

// check looks at all that an operator sees of an incident.
func (s *staged) check(t *testing.T, want *incident) {
	t.Helper()
	for _, w := range want.lines {
		s.await(t, w)
		if !strings.HasPrefix(w.event, "broker_") && !strings.HasPrefix(w.event, "failover_") {
			continue
		}
		if want.initial {
			continue // it was over before the test could listen
		}
		if err := harness.Until(t.Context(), soon, func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !slices.Contains(s.events, w.event) {
				return fmt.Errorf("no event %s among %v", w.event, s.events)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	if m := want.metric; m.name != "" {
		if err := harness.Until(t.Context(), soon, func() error {
			v, err := s.Metric(t.Context(), "/metrics", m.name, m.labels...)
			if err == nil && v < m.least {
				err = fmt.Errorf("metric %s%v is %v, want at least %v", m.name, m.labels, v, m.least)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if err := harness.Until(t.Context(), soon, func() error {
		out, _ := s.Run(t.Context(), "broker", "status", "--address", s.AdminAddr())
		for _, part := range want.status {
			if !strings.Contains(out, part) {
				return fmt.Errorf("status does not show %q:\n%s", part, out)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	s.checkConsole(t)
	if lines := s.lines(); len(lines) > maxIncidentLines {
		t.Errorf("%d lines, want at most %d", len(lines), maxIncidentLines)
	}
	if t.Failed() || testing.Verbose() {
		for _, l := range s.lines() {
			t.Logf("%s %s: %s", l.Level, l.Msg, l.raw)
		}
	}
}

// checkConsole wants on the console what the first line of status says, and what is wrong
// with its reason and what comes next.
func (s *staged) checkConsole(t *testing.T) {
	t.Helper()
	var page string
	if err := harness.Until(t.Context(), soon, func() error {
		var verdict struct {
			Summary  string
			Problems []struct{ Text, Why, Next string }
		}
		if err := json.Unmarshal([]byte(getPath(t, s.AdminAddr(), "/broker/")), &verdict); err != nil {
			return err
		}
		page = html.UnescapeString(getPath(t, s.AdminAddr(), "/broker/console"))
		sentences := []string{verdict.Summary}
		for _, p := range verdict.Problems {
			sentences = append(sentences, p.Text, p.Why, p.Next)
		}
		for _, sentence := range sentences {
			if !strings.Contains(page, sentence) {
				return fmt.Errorf("the console does not say %q", sentence)
			}
		}
		if verdict.Summary == "" {
			return errors.New("there is no first line")
		}
		return nil
	}); err != nil {
		t.Errorf("%v:\n%s", err, page)
	}
}

// TestIncident stages what goes wrong at three in the morning: the log says each in a few lines
// at the level of what it did, and events, metrics and status agree with it.
func TestIncident(t *testing.T) {
	t.Parallel()
	for _, list := range [][]incident{childIncidents, backendIncidents, configIncidents} {
		for _, i := range list {
			t.Run(i.name, func(t *testing.T) {
				t.Parallel()
				s := newStaged(t, &i)
				i.stage(t, s)
				s.check(t, &i)
			})
		}
	}
}
