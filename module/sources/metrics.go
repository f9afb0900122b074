// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"errors"
	"iter"
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// counter count what sources of addresses said.
type counter struct {
	mu      lockorder.Mutex[counter]
	updates map[Update]uint64
	refused map[string]uint64
}

// Update is what became of a list: its kind of source (list, backend or
// discovery), and whether it was accepted or ignored.
type Update struct{ Source, Outcome string }

// update counts a list that was taken or ignored.
func (c *counter) update(source string, taken bool) {
	key := Update{"backend", "ignored"}
	switch {
	case source == listSource:
		key.Source = "list"
	case isAgent(source):
		key.Source = "discovery"
	}
	if taken {
		key.Outcome = "accepted"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.updates == nil {
		c.updates = make(map[Update]uint64)
	}
	c.updates[key]++
}

// refuse counts an address that was refused.
func (c *counter) refuse(reason error) {
	name := "not_allowed"
	switch {
	case errors.Is(reason, membership.ErrSpecial):
		name = "special_address"
	case errors.Is(reason, membership.ErrOwn):
		name = "own_socket"
	case errors.Is(reason, ErrOwnNetwork):
		name = "own_network"
	case errors.Is(reason, ErrUncheckable):
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

// Refused counts an announced address that was refused when it was dialled.
func (s *Follower) Refused(reason error) { s.counts.refuse(reason) }

// Counts returns how many lists were taken or ignored, and how many addresses were
// refused, by the reason.
func (s *Follower) Counts() (updates map[Update]uint64, refused map[string]uint64) {
	return s.counts.read()
}

func (c *counter) read() (updates map[Update]uint64, refused map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.updates), maps.Clone(c.refused)
}

var (
	descUpdates = prometheus.NewDesc("caddy_failover_uri_updates_total", "Lists of addresses from elsewhere, by kind of source and outcome.", []string{"pool", "source", "outcome"}, nil)
	descRefused = prometheus.NewDesc("caddy_failover_uris_refused_total", "Announced addresses that were refused, when they were announced or when they were to be dialled.", []string{"pool", "reason"}, nil)
)

// Collector reads the followers of all pools when it is scraped.
type Collector struct {
	// Followers are those of the pools in use, by the names of the pools.
	Followers func() iter.Seq2[string, *Follower]
}

// Describe sends the descriptions.
func (Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descUpdates
	ch <- descRefused
}

// Collect sends the values.
func (m Collector) Collect(ch chan<- prometheus.Metric) {
	for pool, s := range m.Followers() {
		updates, refused := s.Counts()
		for key, n := range updates {
			ch <- prometheus.MustNewConstMetric(descUpdates, prometheus.CounterValue, float64(n), pool, key.Source, key.Outcome)
		}
		for reason, n := range refused {
			ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(n), pool, reason)
		}
	}
}
