// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// Pool is a pool of this process as handlers use it.
type Pool struct {
	*failover.Pool
	Name string

	entry *poolEntry
}

// Drain carries out a decision of the operator about one of the pool's addresses:
// for this pool alone if the user named it, else for every pool that has the address.
func (p Pool) Drain(u address.URI, drained bool) error { return pools.drain(p.entry, u, drained) }

// List is the pools in use, by name.
func List() []Pool {
	var list []Pool
	for _, e := range pools.list() {
		list = append(list, Pool{e.pool, e.name, e})
	}
	return list
}

// Drain carries out a decision of the operator about addresses, by their names in
// every pool.
func Drain(names []string, drained bool) { pools.drainEverywhere(names, drained) }

// Doubts are the requests in doubt that this process answered.
func Doubts() *indoubt.Ledger { return &pools.ledger }

// Hold keeps pools from starting until Start: only the process that serves reaches
// for backends.
func Hold() { pools.hold() }

// Start ends Hold. Pools begin with what an earlier process had learnt.
func Start(learnt poolstate.State) { pools.start(learnt) }

// Kept is of what the state is worth keeping: the decisions about addresses, and all
// pools in use.
func Kept() (poolstate.Drains, []poolstate.Source) { return pools.kept() }

// OnChange sets what is called after the state of Kept has changed. It must not
// block.
func OnChange(f func()) { pools.onChange(f) }

// Echo returns when all pools have answered that they live.
func Echo() { pools.echo() }

// Interrupt ends all waiting for backends with 503: this process drains or stops.
// Choosing goes on for what needs no waiting.
func Interrupt() { pools.interruptAll() }

// CloseIdle closes the idle connections to backends: a process that serves nobody
// new holds on to none, least of all to a site of its own.
func CloseIdle() { pools.closeIdle() }

// closeIdle closes the idle connections of all handlers.
func (r *poolRegistry) closeIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		for _, c := range e.claims {
			c.policy.way.CloseIdle()
		}
	}
}
