// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// membershipCounts count what sources of addresses said.
type membershipCounts struct {
	mu      sync.Mutex
	updates map[updateKey]uint64
	refused map[string]uint64
}

type updateKey struct{ source, outcome string }

// update counts a list that was taken or ignored.
func (c *membershipCounts) update(source string, taken bool) {
	key := updateKey{"backend", "ignored"}
	switch {
	case source == listSource:
		key.source = "list"
	case isAgent(source):
		key.source = "discovery"
	}
	if taken {
		key.outcome = "accepted"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.updates == nil {
		c.updates = make(map[updateKey]uint64)
	}
	c.updates[key]++
}

// refuse counts an address that was refused.
func (c *membershipCounts) refuse(reason error) {
	name := "not_allowed"
	switch {
	case errors.Is(reason, membership.ErrSpecial):
		name = "special_address"
	case errors.Is(reason, membership.ErrOwn):
		name = "own_socket"
	case errors.Is(reason, errOwnNetwork):
		name = "own_network"
	case errors.Is(reason, errUncheckable):
		name = "uncheckable"
	case errors.Is(reason, membership.ErrOptions):
		name = "options"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[string]uint64)
	}
	c.refused[name]++
}

func (c *membershipCounts) read() (updates map[updateKey]uint64, refused map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.updates), maps.Clone(c.refused)
}

var (
	descUpdates = prometheus.NewDesc("caddy_failover_uri_updates_total", "Lists of addresses from elsewhere, by kind of source and outcome.", []string{"pool", "source", "outcome"}, nil)
	descRefused = prometheus.NewDesc("caddy_failover_uris_refused_total", "Announced addresses that were refused, when they were announced or when they were to be dialled.", []string{"pool", "reason"}, nil)
)

// membershipCollector reads the pools when it is scraped.
type membershipCollector struct{}

// Describe sends the descriptions.
func (membershipCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descUpdates
	ch <- descRefused
}

// Collect sends the values.
func (membershipCollector) Collect(ch chan<- prometheus.Metric) {
	for _, e := range pools.list() {
		updates, refused := e.members.counts.read()
		for key, n := range updates {
			ch <- prometheus.MustNewConstMetric(descUpdates, prometheus.CounterValue, float64(n), e.name, key.source, key.outcome)
		}
		for reason, n := range refused {
			ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(n), e.name, reason)
		}
	}
}
