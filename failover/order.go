// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "github.com/caddy-broker/caddy-broker/failover/affinity"

// tableFrom is the list length from which the winners are remembered; to score a
// shorter list takes no longer than to look them up.
const tableFrom = 48

// order is the part of a view that only changes with the list: the members in
// list order, priority ones first.
type order struct {
	members   []*Member
	byName    map[string]int
	seeds     []uint64 // of members[prio:]
	prio      int      // how many of the first are priority members
	randomize bool
	winners   affinity.Winners // nil for short lists
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
	o.seeds = make([]uint64, len(rest))
	for i, m := range rest {
		o.seeds[i] = m.seed
	}
	if o.randomize && len(rest) >= tableFrom && len(o.members) <= affinity.MaxMembers {
		o.winners = affinity.NewWinners()
	}
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
	if o.winners == nil {
		return o.winner(bucket)
	}
	if w := o.winners.Get(bucket); w != 0 {
		return w - 1
	}
	i := o.winner(bucket)
	o.winners.Set(bucket, i+1)
	return i
}

// winner is the index of the highest score. The list must have a member
// without priority.
func (o *order) winner(bucket uint32) int {
	base, best, at := affinity.ScoreBase(bucket), uint64(0), 0
	for i, seed := range o.seeds {
		if s := affinity.Score(base, seed); s > best {
			best, at = s, i
		}
	}
	return o.prio + at
}

// walk goes through the members in the order of one bucket. It holds no memory
// of its own, so that a caller can have it on its stack.
type walk struct {
	o    *order
	base uint64
	i    int    // next of the list, or of its priority part
	last uint64 // score of the last one
	at   int    // its index in seeds; -1 before the first
	done bool
}

func (o *order) walk(bucket uint32) walk {
	return walk{o: o, base: affinity.ScoreBase(bucket), at: -1}
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
	if !w.o.randomize || w.done {
		return -1
	}
	// The highest score below the last one; among equal ones the list decides.
	best, at := uint64(0), -1
	for i, seed := range w.o.seeds {
		s := affinity.Score(w.base, seed)
		if w.at >= 0 && (s > w.last || s == w.last && i <= w.at) {
			continue
		}
		if (at < 0 || s > best) && may(w.o.prio+i) {
			best, at = s, i
		}
	}
	if at < 0 {
		w.done = true
		return -1
	}
	w.last, w.at = best, at
	return w.o.prio + at
}
