// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// drain carries out a decision of the operator about an address of a pool: for
// that pool alone if the user named it, else for every pool that has the address.
func (r *poolRegistry) drain(e *poolEntry, u address.URI, drained bool) error {
	m, err := e.pool.Find(u)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.entries, e) { // its configuration has ended since it was asked for
		return fmt.Errorf("pool %q has just ended with its configuration: ask for it again", e.name)
	}
	r.decide(e.identity().Scope(), m.Name, drained)
	return nil
}

// drainEverywhere carries out a decision about an address, by its name, for every pool.
func (r *poolRegistry) drainEverywhere(name string, drained bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decide("", name, drained)
}

// decide puts a decision into effect. r.mu is held.
func (r *poolRegistry) decide(scope, address string, drained bool) {
	r.drains = r.drains.Decide(scope, address, drained)
	for _, e := range r.entries {
		e.pool.SetDrained(r.drains.In(e.identity().Scope()))
	}
}
