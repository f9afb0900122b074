// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
)

// poolRegistry holds the pools of this process. They outlive configurations:
// each policy has a claim on its pool, the newest claim that is in effect decides
// what the pool is like, and when it is given back the one before decides again.
// So an unchanged pool does not notice a reload, and a configuration that fails
// to start leaves no trace.
type poolRegistry struct {
	mu      sync.Mutex // guards entries and claims
	entries map[string]*poolEntry
	held    bool // pools are not started
	learnt  map[string]failover.Snapshot

	events  eventQueue
	ledger  doubtLedger
	changes func() // after the state worth keeping has changed; may be nil
}

// pools are the pools of this process.
var pools = &poolRegistry{entries: make(map[string]*poolEntry)}

// poolEntry is one pool with what handlers share of it.
type poolEntry struct {
	name     string
	pool     *failover.Pool
	members  *follower
	budget   budget
	counters poolCounters
	claims   []*poolClaim // in the order they were made
	bound    any          // the generation that the pool has its options from
	dynamic  atomic.Bool  // that has a dynamic source
	started  bool
}

// poolClaim is one policy's claim on a pool.
type poolClaim struct {
	policy *Failover
	entry  *poolEntry
	// generation identifies the configuration: policies of one have the same.
	generation any
	named      bool // by the user
	active     bool
}

// claim finds or makes the pool of a policy. The pool does not change before the
// claim is activated.
func (r *poolRegistry) claim(f *Failover) (*poolClaim, error) {
	c := &poolClaim{policy: f, generation: f.events, named: f.options.Pool != ""}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := f.options.Pool
	if name == "" {
		name = r.defaultName(c)
	}
	e := r.entries[name]
	if e == nil {
		e = &poolEntry{name: name}
		e.members = newFollower(e)
		pool, err := failover.New(c.config(r, e))
		if err != nil {
			return nil, err
		}
		e.pool = pool
		r.entries[name] = e
		if !r.held {
			r.recall(e, f.logger)
		}
	}
	for _, other := range e.claims {
		if other.generation == c.generation && !other.same(c) {
			return nil, fmt.Errorf("pool %q is used by two handlers with different options or lists of upstreams: "+
				"make them equal, or give the pools different names with option pool", name)
		}
	}
	c.entry = e
	e.claims = append(e.claims, c)
	return c, nil
}

// defaultName is host and port of the first address, with a number when others
// of the same configuration have that name. What ran before with the same
// options and addresses keeps its name.
func (r *poolRegistry) defaultName(c *poolClaim) string {
	base := "dynamic"
	if len(c.policy.uris) > 0 {
		base = c.policy.uris[0].Dial()
	}
	free := ""
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name += "#" + strconv.Itoa(n)
		}
		e := r.entries[name]
		switch {
		case e == nil:
			return cmp.Or(free, name)
		case slices.ContainsFunc(e.claims, func(o *poolClaim) bool { return o.generation == c.generation }):
		case slices.ContainsFunc(e.claims, c.same):
			return name
		default:
			free = cmp.Or(free, name)
		}
	}
}

// same tells whether two claims ask for the same.
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
		Emit: func(ev failover.Event) {
			e.members.kick()
			r.events.put(queued{f, ev})
		},
		Changed: r.changed,
	}
}

// activate puts a claim into effect.
func (r *poolRegistry) activate(c *poolClaim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(c.entry.claims, c) {
		return
	}
	c.active = true
	r.bind(c.entry)
}

// release gives a claim back.
func (r *poolRegistry) release(c *poolClaim) {
	r.mu.Lock()
	e := c.entry
	e.claims = slices.DeleteFunc(e.claims, func(o *poolClaim) bool { return o == c })
	if len(e.claims) > 0 {
		if c.active {
			r.bind(e)
		}
		r.mu.Unlock()
		return
	}
	delete(r.entries, e.name)
	r.mu.Unlock()
	e.members.close()
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
				c.policy.backends.tellAnew()
			}
		}
		e.dynamic.Store(cfg.Dynamic)
		w.policy.tell(e)
		e.members.bind(w.policy)
	}
	if !r.held && !e.started {
		e.started = true
		e.pool.Start()
		e.members.start()
	}
}

// hold keeps pools from starting: only the process that serves reaches for
// backends.
func (r *poolRegistry) hold() {
	r.mu.Lock()
	r.held = true
	r.mu.Unlock()
}

// start ends hold. Pools begin with what is known of them now.
func (r *poolRegistry) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	for _, e := range r.entries {
		if w := e.winner(); w != nil && !e.started {
			r.recall(e, w.policy.logger)
		}
		r.bind(e)
	}
}

// recall gives a pool that is not started what an earlier one of its name had
// learnt. r.mu is held.
func (r *poolRegistry) recall(e *poolEntry, logger *zap.Logger) {
	s, ok := r.learnt[e.name]
	if !ok {
		return
	}
	if err := e.pool.Restore(s); err != nil {
		logger.Warn("restoring what the pool had learnt", zap.String("pool", e.name), zap.Error(err))
	}
}

// list is the pools in use, by name.
func (r *poolRegistry) list() []*poolEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*poolEntry
	for _, name := range slices.Sorted(maps.Keys(r.entries)) {
		if e := r.entries[name]; e.winner() != nil {
			list = append(list, e)
		}
	}
	return list
}

// find is the pool of that name in use, or nil.
func (r *poolRegistry) find(name string) *poolEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[name]; e != nil && e.winner() != nil {
		return e
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
	if isRemoteList(f.options.UpdateURIsURL) && len(f.uris) == 0 && len(f.options.UpdateURIsAllow) == 0 {
		f.logger.Warn("update_uris_url has no effect: without configured addresses update_uris_allow has to say what the list may name",
			zap.String("pool", e.name))
	}
}
