// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
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

// DrainEverywhere carries out a decision of the operator about an address, by its
// name, for every pool that has it.
func (p Pool) DrainEverywhere(name string, drained bool) { pools.drainEverywhere(name, drained) }

// List is the pools in use, by name.
func List() []Pool {
	var list []Pool
	for _, e := range pools.list() {
		list = append(list, Pool{e.pool, e.name, e})
	}
	return list
}

// Doubts are the requests in doubt that this process answered, oldest first.
func Doubts() []indoubt.Record { return pools.ledger.List() }

// Hold keeps pools from starting until Start: only the process that serves reaches
// for backends.
func Hold() { pools.hold() }

// Reporter hears what happens to the pools of a process that serves. Its methods must
// not block.
type Reporter interface {
	// Changed says that the state of Kept has changed.
	Changed()
	// Event is an event of a pool; they come in order.
	Event(e report.Event)
	// Doubt is a request in doubt.
	Doubt(d indoubt.Record)
}

// Start ends Hold. Pools begin with what an earlier process had learnt, and to hears
// of them from now on.
func Start(learnt poolstate.State, to Reporter) {
	pools.report(to)
	pools.start(learnt)
}

// Kept is of what the state is worth keeping: the decisions about addresses, and all
// pools in use.
func Kept() (poolstate.Drains, []poolstate.Source) { return pools.kept() }

// Interrupt is for a process that drains or stops: it ends all waiting for backends
// with 503, and closes the idle connections to them, because a process that serves
// nobody new holds on to none, least of all to a site of its own. Choosing goes on for
// what needs no waiting.
func Interrupt() {
	for _, e := range pools.list() {
		e.pool.Interrupt()
	}
	pools.closeIdle()
}
