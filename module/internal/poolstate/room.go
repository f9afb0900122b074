// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import "github.com/caddy-broker/caddy-broker/failover/affinity"

// room is what the pieces of a state take, in bytes. Both sides count alike, so that
// what is sent is never refused for want of room.
type room struct {
	pools map[string]*taken
	heads int // of all
	moved int // of all
}

// taken is what one pool takes.
type taken struct {
	head  int
	moved [affinity.MoveShards]int
}

// plan goes on with the pools of a plan.
func (r *room) plan(p Plan) {
	pools := make(map[string]*taken, len(p.Pools))
	r.heads, r.moved = 0, 0
	for _, next := range p.Pools {
		t := r.pools[next.From]
		if t == nil || next.From == "" {
			t = new(taken)
		}
		pools[next.Name] = t
		r.heads += t.head
		for _, n := range t.moved {
			r.moved += n
		}
	}
	r.pools = pools
}

// forHead is how large the head of a pool may be.
func (r *room) forHead(pool string) int {
	t := r.pools[pool]
	if t == nil {
		return 0
	}
	return max(0, min(MaxPiece, MaxHeads-r.heads+t.head))
}

// head notes how large the head of a pool is.
func (r *room) head(pool string, size int) {
	t := r.pools[pool]
	r.heads += size - t.head
	t.head = size
}

// forMoves is how large one part of the moved clients of a pool may be.
func (r *room) forMoves(pool string, part int) int {
	t := r.pools[pool]
	if t == nil {
		return 0
	}
	return max(0, MaxMoved-r.moved+t.moved[part])
}

// moves notes how large one part of the moved clients of a pool is.
func (r *room) moves(pool string, part, size int) {
	t := r.pools[pool]
	r.moved += size - t.moved[part]
	t.moved[part] = size
}
