// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// drain carries out a decision of the operator about an address of a pool: for
// that pool alone if the user named it, else for every pool that has the address.
func (r *poolRegistry) drain(e *poolEntry, u address.URI, drained bool, by string) error {
	m, err := e.pool.Find(u)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.entries, e) { // its configuration has ended since it was asked for
		return fmt.Errorf("pool %q has just ended with its configuration: ask for it again", e.name)
	}
	r.decide(e.identity().Scope(), m.Name, drained, by)
	return nil
}

// drainEverywhere carries out a decision about an address, by its name, for every pool.
func (r *poolRegistry) drainEverywhere(name string, drained bool, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decide("", name, drained, by)
}

// decide puts a decision into effect. r.mu is held.
func (r *poolRegistry) decide(scope, address string, drained bool, by string) {
	r.drains = r.drains.Decide(scope, address, drained, by, time.Now())
	for _, e := range r.entries {
		e.pool.SetDrained(r.drains.In(e.identity().Scope()))
	}
}

// status is the pool's with its counters, and with who drained what.
func (r *poolRegistry) status(e *poolEntry) report.PoolStatus {
	status, scope := e.pool.Status(), e.identity().Scope()
	r.mu.Lock()
	drains := r.drains
	r.mu.Unlock()
	for _, n := range e.counters.counts().Failovers {
		status.Failovers += n
	}
	totals := make(map[string]report.UpstreamStats)
	for _, s := range e.pool.Stats().Upstreams {
		totals[s.Name] = s
	}
	for i := range status.Upstreams {
		u := &status.Upstreams[i]
		for i, n := range totals[u.URI].Attempts {
			u.Total += n
			if outcome, _ := report.OfCounter(i); outcome.Failed() {
				u.Failed += n
			}
		}
		if by, drained := drains.Of(scope, u.URI); drained && !by.Since.IsZero() {
			u.Drained = &report.Drained{Since: by.Since, By: by.By}
		}
	}
	return status
}
