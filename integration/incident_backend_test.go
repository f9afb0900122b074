// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// ask sends one GET.
func (s *staged) ask(t *testing.T, path string) *harness.Result {
	t.Helper()
	return s.client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET", Path: path})
}

// asks sends GETs until the first backend is in that state.
func (s *staged) asks(t *testing.T, state string) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		s.ask(t, "/")
		var pool struct{ Upstreams []struct{ URI, State string } }
		if err := s.Admin(t.Context(), http.MethodGet, "/broker/pools/p", &pool); err != nil {
			return err
		}
		for _, u := range pool.Upstreams {
			if strings.Contains(u.URI, s.backends[0].Addr) && u.State == state {
				return nil
			}
		}
		return fmt.Errorf("the first backend is not %s: %+v", state, pool)
	}); err != nil {
		t.Fatal(err)
	}
}

// killBackends kills backends.
func killBackends(t *testing.T, backends ...*harness.Backend) {
	t.Helper()
	for _, b := range backends {
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}

// drain takes a backend out of service.
func (s *staged) drain(t *testing.T, b *harness.Backend) {
	t.Helper()
	if err := s.Admin(t.Context(), http.MethodPost, "/broker/pools/p/drain?uri="+url.QueryEscape("http://"+b.Addr), nil); err != nil {
		t.Fatal(err)
	}
}

const homeward = "priority_backup\nfailback_delay 10ms\nmax_reconnect_delay 100ms"

var backendIncidents = []incident{
	{
		name:   "primary down and back",
		policy: homeward,
		stage: func(t *testing.T, s *staged) {
			killBackends(t, s.backends[0])
			s.asks(t, "down")
			start(t, s.backends[0])
			s.asks(t, "up")
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", []string{"is lost (dial: ", "connection refused): requests go to others"}},
			{"failover_failback", "info", []string{"is home again: it was away for ", "and clients that are elsewhere move back to it"}},
		},
		metric: wantedMetric{"caddy_failover_failovers_total", []string{`pool="p"`}, 1},
		status: []string{"connected"},
	},
	{
		// It gets no request before the other one is lost: its return is told all the same.
		name: "one of two down and back",
		stage: func(t *testing.T, s *staged) {
			killBackends(t, s.backends[0])
			s.asks(t, "down")
			start(t, s.backends[0])
			s.asks(t, "trial")
			s.await(t, wantedLine{"failover_resumed", "info", nil})
			killBackends(t, s.backends[1])
			s.asks(t, "up")
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", []string{"is lost (dial: ", "connection refused): requests go to others"}},
			{"failover_resumed", "info", []string{"serves again: it was away for "}},
		},
		metric: wantedMetric{"caddy_failover_failovers_total", []string{`pool="p"`}, 2},
		status: []string{"connected"},
	},
	{
		name:   "primary hangs",
		policy: "nested {\n\tmax_inactivity_duration 3s\n}",
		stage: func(t *testing.T, s *staged) {
			if err := s.backends[0].Pause(); err != nil {
				t.Fatal(err)
			}
			if res := s.ask(t, "/"); res.Fate != harness.OK {
				t.Errorf("%s %d: %v", res.Fate, res.Status, res.Err)
			}
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", []string{"is lost (hung: ", "requests go to others"}},
		},
		metric: wantedMetric{"caddy_failover_requests_total", []string{`outcome="hung"`}, 1},
		status: []string{"down"},
	},
	{
		name: "500s",
		stage: func(t *testing.T, s *staged) {
			for range 30 {
				s.ask(t, "/?status=500")
			}
			// What comes together with the last good answer is not counted.
			if err := harness.Until(t.Context(), soon, func() error {
				s.ask(t, "/?status=500")
				return s.said(wantedLine{"failover_failing", "warn", nil})
			}); err != nil {
				t.Error(err)
			}
			s.ask(t, "/")
		},
		lines: []wantedLine{
			{"failover_failing", "warn", []string{"requests with 5xx, and nothing else"}},
			{"failover_answering", "info", []string{"something else than 5xx again"}},
		},
		metric: wantedMetric{"caddy_failover_requests_total", []string{`status="5xx"`}, 30},
		status: []string{"connected"},
	},
	{
		name: "all down for a while",
		stage: func(t *testing.T, s *staged) {
			killBackends(t, s.backends...)
			load := harness.Load{Client: &harness.Client{Addr: s.addr, Timeout: 5 * time.Minute}, Rate: 100, Count: 20, Name: "w", Requests: []harness.Request{{Method: "GET"}}}
			run := load.Start(t.Context())
			if err := harness.Until(t.Context(), soon, func() error {
				var pool struct{ Waiting int }
				err := s.Admin(t.Context(), http.MethodGet, "/broker/pools/p", &pool)
				if err == nil && pool.Waiting < 20 {
					err = fmt.Errorf("%d wait", pool.Waiting)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			start(t, s.backends[1])
			served(t, run.Wait())
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", []string{"requests go to others"}},
			{"failover_interrupted", "error", []string{"no other one serves, and requests wait"}},
			{"failover_recovered", "info", []string{"serves again, with", "20 requests waited, the longest", "none lost"}},
		},
		metric: wantedMetric{"caddy_failover_wait_seconds_count", []string{`outcome="served"`}, 20},
		status: []string{"connected", "down"},
	},
	{
		name:   "flapping",
		policy: homeward,
		stage: func(t *testing.T, s *staged) {
			for range 5 {
				killBackends(t, s.backends[0])
				s.asks(t, "down")
				start(t, s.backends[0])
				s.asks(t, "up")
			}
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", []string{"it flaps: further losses are at level debug"}},
		},
		metric: wantedMetric{"caddy_failover_failovers_total", []string{`pool="p"`}, 5},
		status: []string{"connected"},
	},
	{
		name: "POST in doubt at a backend",
		stage: func(t *testing.T, s *staged) {
			run := underWay(t, s.backends, s.client, "order", harness.Request{Method: "POST", Path: "/order?delay=1h", Body: []byte("x")})
			killBackends(t, s.backends[0])
			if res := run.Wait()[0]; !inDoubt(res) {
				t.Errorf("%s %d %v", res.Fate, res.Status, res.Header)
			}
			s.asks(t, "down")
		},
		lines: []wantedLine{
			{"failover_interrupted", "warn", nil},
			{"failover_in_doubt", "error", []string{"may have been executed without an answer"}},
		},
		metric: wantedMetric{"caddy_failover_in_doubt_total", []string{`pool="p"`}, 1},
		status: []string{"down"},
	},
	{
		name: "drained and forgotten",
		stage: func(t *testing.T, s *staged) {
			s.drain(t, s.backends[0])
			s.drain(t, s.backends[1])
			if res := s.ask(t, "/"); res.Status != http.StatusServiceUnavailable {
				t.Errorf("%s %d", res.Fate, res.Status)
			}
		},
		lines: []wantedLine{
			{"failover_drained", "info", []string{"gets no new requests until `caddy broker resume`"}},
			{"failover_drained", "error", []string{"with it all are: requests get 503"}},
		},
		metric: wantedMetric{"caddy_failover_upstream_drained", []string{`pool="p"`}, 2},
		status: []string{"drained"},
	},
	{
		name:    "expired backend certificate",
		prepare: expiredBackend,
		initial: true,
		stage: func(t *testing.T, s *staged) {
			client := &harness.Client{Addr: s.third}
			res := client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET"})
			if res.Status != http.StatusBadGateway || !strings.Contains(res.Header.Get("Proxy-Status"), "tls_certificate_error") {
				t.Errorf("%s %d %v", res.Fate, res.Status, res.Header)
			}
		},
		lines: []wantedLine{
			{"failover_interrupted", "error", []string{"certificate has expired", "no other one serves"}},
		},
		metric: wantedMetric{"caddy_failover_reconnect_attempts_total", []string{`pool="tls"`}, 1},
		status: []string{"expired"},
	},
}
