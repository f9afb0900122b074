// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "github.com/caddy-broker/caddy-broker/failover/affinity"

// order is the part of a view that only changes with the list: the members in
// list order, priority ones first.
type order struct {
	members   []*Member
	byName    map[string]int
	prio      int // how many of the first are priority members
	randomize bool
	clients   affinity.Order
}

func newOrder(priority, rest []*Member, randomize bool) *order {
	return &order{
		members:   append(append(make([]*Member, 0, len(priority)+len(rest)), priority...), rest...),
		prio:      len(priority),
		randomize: randomize,
	}
}

// finish computes what choosing needs.
func (o *order) finish() {
	o.byName = make(map[string]int, len(o.members))
	for i, m := range o.members {
		o.byName[m.Name] = i
	}
	seeds := make([]uint64, len(o.members))
	for i, m := range o.members {
		seeds[i] = m.seed
	}
	o.clients = affinity.NewOrder(seeds, o.prio, o.randomize)
}

// equal reports whether another order would be the same.
func (o *order) equal(p *order) bool {
	if o == nil || o.prio != p.prio || o.randomize != p.randomize || len(o.members) != len(p.members) {
		return false
	}
	for i, m := range o.members {
		if p.members[i] != m {
			return false
		}
	}
	return true
}

// first is the index of the first member in the order of the clients in that
// bucket. The list must not be empty.
func (o *order) first(bucket uint32) int { return o.clients.First(bucket) }

// walk goes through the members in the order of one bucket.
func (o *order) walk(bucket uint32) affinity.Walk { return o.clients.Walk(bucket) }
