// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"cmp"
	"go/ast"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// metric is one of Prometheus's, as the code describes it.
type metric struct {
	name, help string
	labels     []string
}

// metrics are all of ours, by name.
func (s *source) metrics() (list []metric) {
	for _, f := range s.files {
		for _, call := range callsIn(f.file) {
			if text(call.Fun) != "prometheus.NewDesc" {
				continue
			}
			m := metric{}
			var ok bool
			if m.name, ok = s.literal(f.dir, call.Args[0]); !ok {
				continue // of another process
			}
			m.help, _ = s.literal(f.dir, call.Args[1])
			if labels, ok := call.Args[2].(*ast.CompositeLit); ok {
				for _, e := range labels.Elts {
					l, _ := s.literal(f.dir, e)
					m.labels = append(m.labels, l)
				}
			}
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	return list
}

// labelValues are the values of labels that have few.
func labelValues(t *testing.T, s *source) map[string][]string {
	var kinds, reasons []string
	for _, f := range s.faults() {
		kinds = append(kinds, f.kind)
	}
	slices.Sort(kinds)
	for _, c := range s.constants(t, "supervisor/exits", "") {
		reasons = append(reasons, c.value)
	}
	return map[string][]string{
		"caddy_broker_child_exits_total reason":    reasons,
		"caddy_broker_child_standby state":         s.sent(t, "module/broker", "gauges", "send"),
		"caddy_failover_requests_total outcome":    s.returned(t, "failover/report", "Outcome.String"),
		"caddy_failover_requests_total status":     {"1xx", "2xx", "3xx", "4xx", "5xx", ""},
		"caddy_failover_failovers_total reason":    slices.Compact(kinds),
		"caddy_failover_replays_total outcome":     s.assigned(t, "module/proxy", "poolCounters.replay", "outcome"),
		"caddy_failover_wait_seconds outcome":      s.returned(t, "failover/report", "WaitEnd.String"),
		"caddy_failover_uri_updates_total source":  append(s.assigned(t, "module/sources", "counter.update", "Source"), "backend"),
		"caddy_failover_uri_updates_total outcome": append(s.assigned(t, "module/sources", "counter.update", "Outcome"), "ignored"),
		"caddy_failover_uris_refused_total reason": s.assigned(t, "module/sources", "counter.refuse", "name"),
		" pool": nil, " upstream": nil, " child": nil,
	}
}

// sent are the texts that end the calls of a function in another one.
func (s *source) sent(t *testing.T, dir, in, call string) (list []string) {
	t.Helper()
	for _, c := range callsIn(s.function(t, dir, in)) {
		if nameOf(c) != call || len(c.Args) == 0 {
			continue
		}
		if v, ok := s.literal(dir, c.Args[len(c.Args)-1]); ok {
			list = append(list, v)
		}
	}
	return list
}

// assigned are the texts that a variable or field is given in a function.
func (s *source) assigned(t *testing.T, dir, in, to string) (list []string) {
	t.Helper()
	ast.Inspect(s.function(t, dir, in), func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok {
			for i, l := range a.Lhs {
				if v, ok := s.literal(dir, a.Rhs[min(i, len(a.Rhs)-1)]); ok && len(a.Rhs) == len(a.Lhs) && name(l) == to {
					list = append(list, v)
				}
			}
		}
		return true
	})
	return list
}

func metricsTable(t *testing.T, s *source) string {
	values := labelValues(t, s)
	tb := table{head: []string{"metric", "labels", "means"}}
	for _, m := range s.metrics() {
		labels := make([]string, len(m.labels))
		for i, l := range m.labels {
			known, ok := values[m.name+" "+l]
			if _, free := values[" "+l]; !ok && !free {
				t.Errorf("%s: the values of label %s are not known to labelValues", m.name, l)
			}
			if labels[i] = code(l); known != nil {
				labels[i] += ": " + codes(known)
			}
			delete(values, m.name+" "+l)
		}
		tb.add(code(m.name), strings.Join(labels, "; "), m.help)
	}
	for key := range values {
		if !strings.HasPrefix(key, " ") {
			t.Errorf("labelValues has %s, which no metric has", key)
		}
	}
	return tb.String()
}

// fault is a value of Proxy-Status and the HTTP status that goes with it.
type fault struct{ kind, status string }

func (s *source) faults() (list []fault) {
	for _, f := range s.files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CompositeLit)
			if !ok || c.Type == nil || text(c.Type) != "proxystatus.Fault" {
				return true
			}
			var found fault
			for _, e := range c.Elts {
				kv := e.(*ast.KeyValueExpr)
				switch text(kv.Key) {
				case "Error":
					found.kind, _ = s.literal(f.dir, kv.Value)
				case "Status":
					found.status = statusNumber(name(kv.Value))
				}
			}
			if found.kind != "" {
				list = append(list, found)
			}
			return true
		})
	}
	return list
}

// statusNumber is the number of a constant of net/http.
func statusNumber(constant string) string {
	for n := 100; n < 600; n++ {
		if constant == "Status"+strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(n)) && http.StatusText(n) != "" {
			return strconv.Itoa(n)
		}
	}
	return constant
}
