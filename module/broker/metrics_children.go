// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

var (
	descUp     = prometheus.NewDesc("caddy_broker_child_up", "Whether a process of the child accepts connections.", []string{"child"}, nil)
	descStarts = prometheus.NewDesc("caddy_broker_child_starts_total", "Processes started for the child.", []string{"child"}, nil)
	descExits  = prometheus.NewDesc("caddy_broker_child_exits_total", "Processes of the child that ended, by reason.", []string{"child", "reason"}, nil)
	descStart  = prometheus.NewDesc("caddy_broker_child_start_seconds", "Time from spawn to readiness of the child's last start.", []string{"child"}, nil)
	descCut    = prometheus.NewDesc("caddy_broker_child_in_doubt_total", "Unsafe requests that the end of a process cut off: they may have been executed without an answer.", []string{"child"}, nil)
	descBroken = prometheus.NewDesc("caddy_broker_child_broken_total", "Processes of the child that were ended because what they said could not be read, or because they said nothing more.", []string{"child"}, nil)
	descReload = prometheus.NewDesc("caddy_broker_reload_success", "Whether the last attempt to load a configuration ended with it serving.", nil, nil)
	descLoaded = prometheus.NewDesc("caddy_broker_reload_timestamp_seconds", "When a configuration that was loaded began to serve, last.", nil, nil)
	descDoubts = prometheus.NewDesc("caddy_broker_in_doubt", "Requests in the list of those that may have been executed without an answer.", nil, nil)
	descSpares = prometheus.NewDesc("caddy_broker_child_standby", "Spare processes of the child, those that it is to have and those that could serve at once.", []string{"child", "state"}, nil)
	descFlight = prometheus.NewDesc("caddy_broker_child_in_flight", "Requests that the child's processes have in progress, those that drain included.", []string{"child"}, nil)
	descMemory = prometheus.NewDesc("caddy_broker_child_memory_bytes", "Memory of the process that accepts connections.", []string{"child"}, nil)
	descBeat   = prometheus.NewDesc("caddy_broker_child_last_heartbeat_seconds", "Time since the process that accepts connections has last proved that it can answer.", []string{"child"}, nil)
	descGap    = prometheus.NewDesc("caddy_broker_child_gap_seconds", "Total time without a process of the child that accepts connections.", []string{"child"}, nil)
)

// childCollector reads the children when it is scraped: nothing to reset, nothing
// to go stale.
type childCollector struct{}

// Describe sends the descriptions.
func (childCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descStarts, descExits, descStart, descGap, descCut, descBroken, descReload, descLoaded, descDoubts, descSpares, descFlight, descMemory, descBeat} {
		ch <- d
	}
}

// Collect sends the values.
func (childCollector) Collect(ch chan<- prometheus.Metric) {
	if r := lastLoad.Load(); r != nil && r.Serving != nil {
		success := 1.0
		if r.Result == overview.Failed || r.Result == overview.RolledBack {
			success = 0
		}
		ch <- prometheus.MustNewConstMetric(descReload, prometheus.GaugeValue, success)
		ch <- prometheus.MustNewConstMetric(descLoaded, prometheus.GaugeValue, float64(r.Serving.UnixMilli())/1000)
	}
	ch <- prometheus.MustNewConstMetric(descDoubts, prometheus.GaugeValue, float64(len(host.doubts.List())))
	for _, s := range Statuses() {
		up := 0.0
		if s.State == "active" {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, up, s.Name)
		ch <- prometheus.MustNewConstMetric(descStarts, prometheus.CounterValue, float64(s.Stats.Starts), s.Name)
		for _, reason := range exits.Reasons() { // every series exists from the start
			ch <- prometheus.MustNewConstMetric(descExits, prometheus.CounterValue, float64(s.Stats.Exits[reason]), s.Name, reason)
		}
		ch <- prometheus.MustNewConstMetric(descStart, prometheus.GaugeValue, s.Stats.StartSeconds, s.Name)
		ch <- prometheus.MustNewConstMetric(descGap, prometheus.CounterValue, s.Stats.Gap.Seconds(), s.Name)
		ch <- prometheus.MustNewConstMetric(descBroken, prometheus.CounterValue, float64(s.Stats.Broken), s.Name)
		if c := host.child(s.Name); c != nil {
			ch <- prometheus.MustNewConstMetric(descCut, prometheus.CounterValue, float64(c.inDoubt.Load()), s.Name)
			gauges(ch, s, c.sup.Gauges())
		}
	}
}

// gauges sends what is measured of a child; what is not known lacks.
func gauges(ch chan<- prometheus.Metric, st *supervisor.Status, g supervisor.Gauges) {
	send := func(known bool, desc *prometheus.Desc, value float64, labels ...string) {
		if known {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{st.Name}, labels...)...)
		}
	}
	if st.Standby != nil {
		send(true, descSpares, float64(st.Standby.Wanted), "wanted")
		send(true, descSpares, float64(st.Standby.Ready), "ready")
	}
	send(g.Counted, descFlight, float64(g.InFlight))
	send(g.Memory > 0, descMemory, float64(g.Memory))
	for i := range st.Processes {
		if p := &st.Processes[i]; p.State == "active" && p.LastHeartbeat != nil {
			send(true, descBeat, time.Since(*p.LastHeartbeat).Seconds())
		}
	}
}
