// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net/http"
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
	r.decide(e.identity().scope(), m.Name, drained)
	return nil
}

// drainEverywhere carries out a decision about an address for every pool, and
// returns those that have it.
func (r *poolRegistry) drainEverywhere(text string, drained bool) (have []*poolEntry, err error) {
	var names, known []string
	for _, e := range r.list() {
		u, bad := e.address(text) // a dial address is read by the pools that have it
		if err = bad; err == nil {
			if m, unknown := e.pool.Find(u); unknown == nil {
				have = append(have, e)
				names = append(names, m.Name)
			}
		}
		for _, m := range e.pool.Members() {
			known = append(known, m.Name)
		}
	}
	if len(have) == 0 && err != nil {
		return nil, err
	}
	if len(have) == 0 {
		slices.Sort(known)
		return nil, failure(http.StatusNotFound, "no pool has address %q: %s", text, alternatives(slices.Compact(known)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.decide("", name, drained)
	}
	return have, nil
}

// decide puts a decision into effect. r.mu is held.
func (r *poolRegistry) decide(scope, address string, drained bool) {
	r.drains = r.drains.decide(scope, address, drained)
	for _, e := range r.entries {
		e.pool.SetDrained(r.drains.in(e.identity().scope()))
	}
}
