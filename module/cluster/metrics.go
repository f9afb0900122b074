// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import "github.com/prometheus/client_golang/prometheus"

var (
	descMembers = prometheus.NewDesc("caddy_broker_network_members", "Other brokers of the network that live.", nil, nil)
	descStrange = prometheus.NewDesc("caddy_broker_network_refused_total", "Messages and connections refused: not encrypted with the network's key, or more than is taken.", nil, nil)
)

// Collector reads the network when it is scraped; without one it is silent.
type Collector struct{}

// Describe sends the descriptions.
func (Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descMembers
	ch <- descStrange
}

// Collect sends the values.
func (Collector) Collect(ch chan<- prometheus.Metric) {
	state, _ := State()
	if state == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(descMembers, prometheus.GaugeValue, float64(len(state.Members)))
	ch <- prometheus.MustNewConstMetric(descStrange, prometheus.CounterValue, float64(state.Refused))
}
