// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// generation is one configuration with the claims of its policies.
type generation struct {
	id      any // policies of one configuration have the same
	number  int
	claims  []*poolClaim
	settled bool
}

// generation finds or makes the one with that id. r.mu is held.
func (r *poolRegistry) generation(id any) *generation {
	for _, g := range r.generations {
		if g.id == id {
			return g
		}
	}
	r.made++
	g := &generation{id: id, number: r.made}
	r.generations = append(r.generations, g)
	return g
}

// entries are its pools, each once.
func (g *generation) entries() (list []*poolEntry) {
	for _, c := range g.claims {
		if !slices.Contains(list, c.entry) {
			list = append(list, c.entry)
		}
	}
	return list
}

// settle names the pools of a configuration, all of which are claimed, and finds
// out what each of them was before: one that keeps its name goes on itself, one
// with another name starts with what the other had learnt. A pool that a
// configuration in effect claims later was nothing before. r.mu is held.
func (r *poolRegistry) settle(g *generation) {
	var olds []*poolEntry
	if !g.settled {
		g.settled = true
		olds = r.inEffect()
	}
	list := g.entries()
	next := identities(list)
	fixed := make([]bool, len(list))
	for i, e := range list {
		fixed[i] = next[i].Named || slices.Contains(r.entries, e)
	}
	poolstate.SetNames(next, fixed)
	to := poolstate.Successors(identities(olds), next)
	for i, e := range list {
		if slices.Contains(r.entries, e) {
			continue
		}
		k := slices.Index(to, i)
		if k >= 0 && olds[k].name == next[i].Name {
			r.join(g, e, olds[k])
			continue
		}
		e.name = next[i].Name
		e.pool.Rename(e.name)
		r.entries = append(r.entries, e)
		if r.held {
			continue
		}
		e.pool.SetDrained(r.drains.In(next[i].Scope()))
		if k >= 0 {
			olds[k].followed = g
			e.restore(poolstate.Pool{Snapshot: olds[k].pool.Snapshot()})
		}
	}
	for _, c := range g.claims {
		if c.policy.pool == nil {
			c.policy.pool = c.entry.pool
		}
	}
}

// join makes the claims on a new pool claims on one that is there already. r.mu is
// held.
func (r *poolRegistry) join(g *generation, from, to *poolEntry) {
	for _, c := range g.claims {
		if c.entry == from {
			c.entry = to
			to.claims = append(to.claims, c)
		}
	}
	from.claims = nil
	from.pool.Close() // it was never started
}

// inEffect are the pools of the newest configuration that is in effect. r.mu is
// held.
func (r *poolRegistry) inEffect() (list []*poolEntry) {
	newest := r.newest()
	for _, e := range r.entries {
		if w := e.winner(); w != nil && w.generation.number == newest {
			list = append(list, e)
		}
	}
	return list
}

// newest is the number of the newest configuration in effect, 0 if there is none.
// r.mu is held.
func (r *poolRegistry) newest() (number int) {
	for _, e := range r.entries {
		if w := e.winner(); w != nil {
			number = max(number, w.generation.number)
		}
	}
	return number
}

// hold keeps pools from starting: only the process that serves reaches for
// backends.
func (r *poolRegistry) hold() {
	r.mu.Lock()
	r.held = true
	r.mu.Unlock()
}

// start ends hold. Pools begin with what an earlier process had learnt.
func (r *poolRegistry) start(learnt poolstate.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	list := r.inEffect()
	next := identities(list)
	states, kept, lost := learnt.Merge(next)
	r.drains = kept
	for i, e := range list {
		e.pool.SetDrained(r.drains.In(next[i].Scope()))
		if states[i] != nil {
			e.from = states[i].Name
			e.restore(*states[i])
		}
		r.bind(e)
	}
	warnLost(lost)
}

// restore gives a pool that is not started what an earlier one had learnt.
func (e *poolEntry) restore(s poolstate.Pool) {
	if err := e.pool.Restore(s.Snapshot); err != nil {
		caddy.Log().Named("broker").Warn("restoring what the pool had learnt", zap.String("pool", e.name), zap.Error(err))
	}
}

// bury says which decisions of the operator end with a pool that the configuration
// in effect has no more, and with the addresses that only it had. Nothing ends with
// a configuration that failed, or with the process. r.mu is held.
func (r *poolRegistry) bury(e *poolEntry, last *poolClaim) {
	if n := r.newest(); caddy.Exiting() || n > 0 && n < last.generation.number {
		return
	}
	var lost []poolstate.Lost
	if !slices.Contains(r.generations, e.followed) {
		s := poolstate.Pool{Identity: last.identity, Snapshot: e.pool.Snapshot()}
		s.Name = e.name
		lost = s.Decisions()
	}
	kept, gone := r.drains.Place(r.has)
	for _, d := range gone {
		lost = append(lost, d.Lost())
	}
	r.drains = kept
	warnLost(lost)
}

// has reports whether a pool has the address, or that of this name. r.mu is held.
func (r *poolRegistry) has(name, address string) bool {
	for _, e := range r.entries {
		id := e.identity()
		if name != "" && name != id.Scope() {
			continue
		}
		if slices.Contains(id.Addresses, address) {
			return true
		}
		for m := range e.pool.All() {
			if m.Name == address {
				return true
			}
		}
	}
	return false
}

// warnLost names the decisions of the operator that no pool has a place for.
func warnLost(lost []poolstate.Lost) {
	for _, d := range lost {
		caddy.Log().Named("broker").Warn("a decision about a backend has ended: the configuration has no place for it any more",
			zap.String("decision", d.Decision), zap.String("upstream", d.Upstream), zap.String("pool", d.Pool))
	}
}
