// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// kill ends the child with a signal while the runs are in progress, and returns when another
// process serves.
func (s *staged) kill(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(s.pid, signal); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, s.Broker, s.pid)
}

// order is a POST that is in progress at the first backend.
func (s *staged) order(t *testing.T) {
	t.Helper()
	underWay(t, s.backends, s.client, "order", harness.Request{Method: "POST", Path: "/order?delay=1h", Body: []byte("x")})
}

var childIncidents = []incident{
	{
		name: "child killed",
		stage: func(t *testing.T, s *staged) {
			s.order(t)
			s.kill(t, syscall.SIGKILL)
		},
		lines: []wantedLine{
			{"broker_child_exited", "error", []string{"child default was killed (SIGKILL)", "1 request cut, 1 of them in doubt; next start in 1s"}},
			{"failover_in_doubt", "error", []string{"1 request may have been executed"}},
			{"broker_child_ready", "info", []string{"serves again; it was away for"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="killed"`}, 1},
		status: []string{"killed"},
	},
	{
		name: "panic",
		// SIGABRT makes Go write its goroutines and end, as a panic does.
		stage: func(t *testing.T, s *staged) { s.kill(t, syscall.SIGABRT) },
		lines: []wantedLine{
			{"broker_child_exited", "error", []string{"child default crashed (SIGABRT", "no request was in progress"}},
			{"child wrote to its standard error", "info", []string{`"child":"default"`, "goroutine"}},
			{"broker_child_ready", "info", []string{"serves again"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="crash"`}, 1},
		status: []string{"crash"},
	},
	{
		name:    "hang",
		options: "watchdog 3s",
		stage:   func(t *testing.T, s *staged) { s.kill(t, syscall.SIGSTOP) },
		lines: []wantedLine{
			{"broker_child_silent", "error", []string{"has given no sign of life for", "it is ended in"}},
			{"broker_child_exited", "error", []string{"child default hung and was ended (no heartbeat for "}},
			{"broker_child_ready", "info", []string{"serves again"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="hang"`}, 1},
		status: []string{"hang", "no heartbeat for "},
	},
	{
		name:  "crash loop",
		extra: "http://{$B3} {\n\tlog {\n\t\toutput file logs/access.log\n\t}\n}",
		stage: func(t *testing.T, s *staged) {
			logs := filepath.Join(s.Dir, "logs")
			if err := os.RemoveAll(logs); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(logs, nil, 0o600); err != nil { // where a directory should be
				t.Fatal(err)
			}
			if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if _, err := s.AwaitChild(t.Context(), "default", func(c *harness.Child) bool { return c.Restarts >= 2 && c.State == "backoff" }); err != nil {
				t.Fatal(err)
			}
		},
		lines: []wantedLine{
			{"broker_child_exited", "error", []string{"child default was killed", "next start in 1s"}},
			{"broker_child_exited", "error", []string{"ended before it was ready", "after 2 deaths in a row"}},
			{"broker_child_exited", "error", []string{"after 3 deaths in a row"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="start_failure"`}, 2},
		status: []string{"backoff"},
	},
	{
		name:    "child killed beside a standby",
		options: "standby 1",
		stage: func(t *testing.T, s *staged) {
			s.kill(t, syscall.SIGKILL)
			awaitStandby(t, s.Broker)
		},
		lines: []wantedLine{
			{"broker_child_exited", "warn", []string{"no request was in progress; standby", "serves at once"}},
			{"broker_child_promoted", "info", []string{"in the place of the process that has died"}},
			{"broker_standby_lost", "warn", []string{"has 0 of 1 standbys"}},
			{"broker_standby_restored", "info", []string{"has all of its standbys again: 1"}},
		},
		metric: wantedMetric{"caddy_broker_child_standby", []string{`state="ready"`}, 1},
		status: []string{"standby", "killed"},
	},
	{
		name:    "standby killed",
		options: "standby 1",
		stage: func(t *testing.T, s *staged) {
			_, standby := awaitStandby(t, s.Broker)
			if err := killProcess(t, standby); err != nil {
				t.Fatal(err)
			}
			s.await(t, wantedLine{"broker_standby_restored", "info", nil})
		},
		lines: []wantedLine{
			{"broker_child_exited", "warn", []string{"standby of child default was killed", "what serves is not touched"}},
			{"broker_standby_lost", "warn", []string{"a crash costs the time of a start"}},
			{"broker_standby_restored", "info", nil},
		},
		metric: wantedMetric{"caddy_broker_child_standby", []string{`state="ready"`}, 1},
		status: []string{"standby"},
	},
	{
		name: "spawn fails",
		own:  true,
		stage: func(t *testing.T, s *staged) {
			program := filepath.Join(s.Dir, "caddy")
			if err := os.Rename(program, program+".gone"); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.await(t, wantedLine{"broker_child_exited", "error", []string{"could not be started"}})
			if err := os.Rename(program+".gone", program); err != nil {
				t.Fatal(err)
			}
			awaitActive(t, s.Broker, s.pid)
		},
		lines: []wantedLine{
			{"broker_child_exited", "error", []string{"child default could not be started", "no such file"}},
			{"broker_child_ready", "info", []string{"serves again"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="spawn"`}, 1},
		status: []string{"no such file"},
	},
	{
		name: "parent killed",
		stage: func(t *testing.T, s *staged) {
			if err := s.Process().Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.AwaitGone(t.Context(), soon); err != nil {
				t.Fatal(err)
			}
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			awaitActive(t, s.Broker, s.pid)
		},
		status: []string{"active"},
	},
}
