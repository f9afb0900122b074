// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// poolRegistry holds the pools of this process. They outlive configurations:
// each policy has a claim on its pool, the newest claim that is in effect decides
// what the pool is like, and when it is given back the one before decides again.
// So an unchanged pool does not notice a reload, and a configuration that fails
// to start leaves no trace.
type poolRegistry struct {
	mu          lockorder.Mutex[poolRegistry] // guards what follows, entries and claims
	entries     []*poolEntry
	generations []*generation    // the newest last
	made        int              // generations
	held        bool             // pools are not started
	drains      poolstate.Drains // what the operator decided about addresses

	events   eventQueue
	ledger   indoubt.Ledger
	reporter Reporter // nil until this process serves as a child
}

// pools are the pools of this process.
var pools = new(poolRegistry)

// poolEntry is one pool with what handlers share of it.
type poolEntry struct {
	name     string
	pool     *failover.Pool
	members  *sources.Follower
	budget   budget
	counters poolCounters
	claims   []*poolClaim // in the order they were made
	bound    *generation  // that the pool has its options from
	dynamic  atomic.Bool  // that has a dynamic source
	touched  atomic.Bool  // what is worth keeping of it may have changed
	from     string       // the pool of an earlier process that it goes on from; "" is none
	started  bool
	followed *generation // in one of whose pools goes on what it has learnt
}

// poolClaim is one policy's claim on a pool.
type poolClaim struct {
	policy     *Failover
	entry      *poolEntry
	generation *generation
	identity   poolstate.Identity
	active     bool
}

// claim makes the pool of a policy, or takes that of a handler of the same
// configuration that asks for the same. What pool of an earlier configuration it
// is, and what it is called, is known when all of this one are: see settle.
func (r *poolRegistry) claim(f *Failover) (*poolClaim, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.generation(f.events)
	c := &poolClaim{policy: f, generation: g, identity: f.identity()}
	for _, o := range g.claims {
		switch same := o.same(c); {
		case c.identity.Named && o.identity.Named && f.options.Pool == o.policy.options.Pool && !same:
			return nil, fmt.Errorf("pool %q is used by two handlers with different options or lists of upstreams: "+
				"make them equal, or give the pools different names with option pool", f.options.Pool)
		case same && (c.identity.Named || f.dynamicSource == o.policy.dynamicSource):
			c.entry = o.entry
		}
	}
	if c.entry == nil {
		e := &poolEntry{name: c.identity.Name}
		e.members = sources.New()
		pool, err := failover.New(c.config(r, e))
		if err != nil {
			return nil, err
		}
		e.pool, c.entry = pool, e
	}
	g.claims = append(g.claims, c)
	c.entry.claims = append(c.entry.claims, c)
	return c, nil
}

// same reports whether two claims ask for the same.
func (c *poolClaim) same(o *poolClaim) bool {
	return reflect.DeepEqual(c.policy.options, o.policy.options) && reflect.DeepEqual(c.policy.uris, o.policy.uris)
}

func (c *poolClaim) config(r *poolRegistry, e *poolEntry) failover.Config {
	f := c.policy
	dynamic := f.dynamic || slices.ContainsFunc(e.claims, func(o *poolClaim) bool {
		return o.generation == c.generation && o.policy.dynamic
	})
	return failover.Config{
		Name: e.name, URIs: f.uris, Options: f.options, Dynamic: dynamic,
		Carrier: &carrier{entry: e, registry: r},
		Logger:  f.slogger,
		Emit: func(ev report.Event) {
			e.members.Kick()
			r.events.put(queued{f, ev})
		},
		Changed: func() {
			e.touched.Store(true)
			r.changed()
		},
	}
}

// activate puts a claim into effect. A second time it does nothing.
func (r *poolRegistry) activate(c *poolClaim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.active || !slices.Contains(c.entry.claims, c) {
		return
	}
	r.settle(c.generation)
	c.active = true
	r.bind(c.entry)
}

// release gives a claim back.
func (r *poolRegistry) release(c *poolClaim) {
	r.mu.Lock()
	e, g := c.entry, c.generation
	is := func(o *poolClaim) bool { return o == c }
	e.claims, g.claims = slices.DeleteFunc(e.claims, is), slices.DeleteFunc(g.claims, is)
	if len(g.claims) == 0 {
		r.generations = slices.DeleteFunc(r.generations, func(o *generation) bool { return o == g })
	}
	if len(e.claims) > 0 {
		if c.active {
			r.bind(e)
		}
		r.mu.Unlock()
		return
	}
	r.entries = slices.DeleteFunc(r.entries, func(o *poolEntry) bool { return o == e })
	if c.active {
		r.bury(e, c)
	}
	r.mu.Unlock()
	e.members.Close()
	e.pool.Close()
}

// winner is the newest claim in effect.
func (e *poolEntry) winner() *poolClaim {
	for _, c := range slices.Backward(e.claims) {
		if c.active {
			return c
		}
	}
	return nil
}

// bind makes the pool what the newest claim says. r.mu is held.
func (r *poolRegistry) bind(e *poolEntry) {
	w := e.winner()
	if w == nil {
		return
	}
	if e.bound != w.generation {
		e.bound = w.generation
		e.budget.max.Store(w.policy.options.MaxCacheSize)
		cfg := w.config(r, e)
		if !cfg.Dynamic {
			e.dynamic.Store(false) // before the members go that some lists alone name
		}
		if err := e.pool.Rebind(cfg); err != nil {
			w.policy.logger.Error("changing pool", zap.String("pool", e.name), zap.Error(err))
		}
		for _, c := range e.claims {
			if c.active {
				c.policy.dynamics.tellAnew()
			}
		}
		e.dynamic.Store(cfg.Dynamic)
		w.policy.tell(e)
		e.members.Bind(atBackends{w.policy})
	}
	if !r.held && !e.started {
		e.started = true
		e.pool.Start()
		e.members.Start(e.name, e.pool)
	}
}

// list is the pools in use, by name. Of two with one name, of which the older has
// yet to finish its requests, it is the newer.
func (r *poolRegistry) list() []*poolEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := make(map[string]*poolEntry)
	for _, e := range r.entries {
		w := e.winner()
		if w == nil {
			continue
		}
		if o := newest[e.name]; o == nil || o.winner().generation.number < w.generation.number {
			newest[e.name] = e
		}
	}
	var list []*poolEntry
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		list = append(list, newest[name])
	}
	return list
}

// find is the pool of that name in use, or nil.
func (r *poolRegistry) find(name string) *poolEntry {
	for _, e := range r.list() {
		if e.name == name {
			return e
		}
	}
	return nil
}

// tell logs what the pool is like, so that nobody expects a primary where the
// order is random, and what of the options has no effect.
func (f *Failover) tell(e *poolEntry) {
	order := make([]string, 0, len(f.uris))
	for _, m := range e.pool.Members() {
		order = append(order, m.Name)
	}
	settings := make(map[string]any)
	for _, s := range f.options.Settings() {
		settings[s.Name] = s.Value
	}
	f.logger.Info("failover pool", zap.String("pool", e.name), zap.Strings("order", order),
		zap.Bool("random_order_per_client", f.options.Randomize), zap.Any("options", settings))
	for _, w := range f.options.Warnings() {
		f.logger.Warn("option without effect", zap.String("pool", e.name), zap.String("reason", w))
	}
	if sources.IsRemote(f.options.UpdateURIsURL) && len(f.uris) == 0 && len(f.options.UpdateURIsAllow) == 0 {
		f.logger.Warn("update_uris_url has no effect: without configured addresses update_uris_allow has to say what the list may name",
			zap.String("pool", e.name))
	}
}
