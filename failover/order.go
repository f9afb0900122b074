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
	clients   affinity.Rendezvous // of members[prio:], with randomize
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
	rest := o.members[o.prio:]
	o.byName = make(map[string]int, len(o.members))
	for i, m := range o.members {
		o.byName[m.Name] = i
	}
	if !o.randomize {
		return
	}
	seeds := make([]uint64, len(rest))
	for i, m := range rest {
		seeds[i] = m.seed
	}
	o.clients = affinity.NewRendezvous(seeds)
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
func (o *order) first(bucket uint32) int {
	if o.prio > 0 || !o.randomize {
		return 0
	}
	return o.clients.First(bucket)
}

// walk goes through the members in the order of one bucket. It holds no memory
// of its own, so that a caller can have it on its stack.
type walk struct {
	o       *order
	i       int // next of the list, or of its priority part
	clients affinity.Walk
}

func (o *order) walk(bucket uint32) walk {
	return walk{o: o, clients: o.clients.Walk(bucket)}
}

// next returns the index of the next member for which may is true, or -1.
func (w *walk) next(may func(i int) bool) int {
	end := len(w.o.members)
	if w.o.randomize {
		end = w.o.prio
	}
	for w.i < end {
		w.i++
		if may(w.i - 1) {
			return w.i - 1
		}
	}
	if !w.o.randomize {
		return -1
	}
	if i := w.clients.Next(w.o.prio, may); i >= 0 {
		return w.o.prio + i
	}
	return -1
}
