// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TotalsOf are the counters of pools and upstreams among the metrics of a process.
func TotalsOf(families map[string]*dto.MetricFamily) map[Key]Totals {
	totals := make(map[Key]Totals)
	for _, m := range families["caddy_failover_requests_total"].GetMetric() {
		n, failed := m.GetCounter().GetValue(), isFailure(m)
		for _, key := range []Key{{Pool: label(m, "pool")}, {Pool: label(m, "pool"), Upstream: label(m, "upstream")}} {
			t := totals[key]
			t.Requests += n
			if failed {
				t.Failures += n
			}
			totals[key] = t
		}
	}
	for _, m := range families["caddy_failover_response_seconds"].GetMetric() {
		key := Key{Pool: label(m, "pool")}
		t := totals[key]
		t.Answers, t.Seconds = float64(m.GetSummary().GetSampleCount()), m.GetSummary().GetSampleSum()
		totals[key] = t
	}
	return totals
}

// failures are the outcomes of attempts that a backend is to blame for.
var failures = map[string]bool{
	report.DialFailed.String(): true, report.Lost.String(): true, report.StreamReset.String(): true, report.Hung.String(): true,
}

// isFailure reports whether a metric counts attempts that failed, or were answered with
// an error of the backend's.
func isFailure(m *dto.Metric) bool {
	return failures[label(m, "outcome")] || label(m, "status") == "5xx"
}

// label is the value of a metric's label.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
