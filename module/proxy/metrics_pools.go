// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

var (
	descUpstreamUp = prometheus.NewDesc("caddy_failover_upstream_up", "Whether the backend answers, as far as is known: drained or not.", []string{"pool", "upstream"}, nil)
	descDrained    = prometheus.NewDesc("caddy_failover_upstream_drained", "Whether an operator lets the backend rest.", []string{"pool", "upstream"}, nil)
	descPriority   = prometheus.NewDesc("caddy_failover_upstream_priority", "Whether the backend is one that clients are to be on whenever it is up (option priority_backup).", []string{"pool", "upstream"}, nil)
	descRequests   = prometheus.NewDesc("caddy_failover_requests_total", "Attempts to proxy a request, by backend and how they ended; answers also by class of status.", []string{"pool", "upstream", "outcome", "status"}, nil)
	descFailovers  = prometheus.NewDesc("caddy_failover_failovers_total", "Requests that went on to another backend, by the fault of the one before.", []string{"pool", "reason"}, nil)
	descReplays    = prometheus.NewDesc("caddy_failover_replays_total", "Requests that were sent again after something of them had been written, by outcome.", []string{"pool", "outcome"}, nil)
	descInDoubt    = prometheus.NewDesc("caddy_failover_in_doubt_total", "Requests that may have been executed without an answer.", []string{"pool"}, nil)
	descWaiting    = prometheus.NewDesc("caddy_failover_waiting", "Requests that wait for a backend.", []string{"pool"}, nil)
	descWait       = prometheus.NewDesc("caddy_failover_wait_seconds", "How long requests have waited for a backend, those that had to, by how the wait ended.", []string{"pool", "outcome"}, nil)
	descResponse   = prometheus.NewDesc("caddy_failover_response_seconds", "Time from sending a request to a backend until the header of its response, in attempts that were answered.", []string{"pool"}, nil)
	descAttempts   = prometheus.NewDesc("caddy_failover_reconnect_attempts_total", "Passes over the backends that were down.", []string{"pool"}, nil)
)

// poolCollector reads the pools of this process when it is scraped.
type poolCollector struct{}

// Describe sends the descriptions.
func (poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUpstreamUp, descDrained, descPriority, descRequests, descFailovers, descReplays, descInDoubt, descWaiting, descWait, descResponse, descAttempts} {
		ch <- d
	}
}

// Collect sends the values.
func (poolCollector) Collect(ch chan<- prometheus.Metric) {
	for _, e := range pools.list() {
		stats, counts := e.pool.Stats(), e.counters.counts()
		for _, u := range stats.Upstreams {
			ch <- prometheus.MustNewConstMetric(descUpstreamUp, prometheus.GaugeValue, truth(u.Up), e.name, u.Name)
			ch <- prometheus.MustNewConstMetric(descDrained, prometheus.GaugeValue, truth(u.Drained), e.name, u.Name)
			ch <- prometheus.MustNewConstMetric(descPriority, prometheus.GaugeValue, truth(u.Priority), e.name, u.Name)
			for i, n := range u.Attempts {
				outcome, class := report.OfCounter(i)
				if outcome == report.Answered && class == "" && n == 0 {
					continue // every answer has a status
				}
				ch <- prometheus.MustNewConstMetric(descRequests, prometheus.CounterValue, float64(n), e.name, u.Name, outcome.String(), class)
			}
		}
		for reason, n := range counts.Failovers {
			ch <- prometheus.MustNewConstMetric(descFailovers, prometheus.CounterValue, float64(n), e.name, reason)
		}
		for outcome, n := range counts.Replays {
			ch <- prometheus.MustNewConstMetric(descReplays, prometheus.CounterValue, float64(n), e.name, outcome)
		}
		ch <- prometheus.MustNewConstMetric(descInDoubt, prometheus.CounterValue, float64(counts.InDoubt), e.name)
		ch <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(stats.Waiting), e.name)
		for end, h := range stats.Waits {
			ch <- waited(e.name, report.WaitEnd(end), h)
		}
		ch <- prometheus.MustNewConstSummary(descResponse, counts.Answers, counts.AnswerTime.Seconds(), nil, e.name)
		ch <- prometheus.MustNewConstMetric(descAttempts, prometheus.CounterValue, float64(stats.ReconnectAttempts), e.name)
	}
}

// waited is a histogram of waits as a metric has it: each bucket with those before it.
func waited(pool string, end report.WaitEnd, h report.Histogram) prometheus.Metric {
	buckets, sum := make(map[float64]uint64, len(h.Buckets)), uint64(0)
	for i, n := range h.Buckets {
		sum += n
		buckets[report.WaitBounds[i].Seconds()] = sum
	}
	return prometheus.MustNewConstHistogram(descWait, h.Count, h.Sum.Seconds(), buckets, pool, end.String())
}

// truth is a truth value as a metric has it.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
