// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

import (
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// MaxMoves is how many clients a pool remembers that are not on their own
	// member.
	MaxMoves = 65536
	// MoveShards is into how many parts these clients are divided.
	MoveShards = 64
	// ShardMoves is how many clients one part has at most.
	ShardMoves = MaxMoves / MoveShards
)

// Moves are the exceptions of a pool: which client was moved to which M. The longest
// unused one of a shard makes room for a new one; keys are hashes, so the shards
// fill evenly. Use is noted to the clock given, which need not be fine.
//
// Invariants: count is the number of entries of all shards; no shard has more
// than ShardMoves; no entry leads to the zero M.
type Moves[M comparable] struct {
	count   atomic.Int64
	changed atomic.Uint64 // a bit for each shard: it changed since that was last asked for
	shards  [MoveShards]moveShard[M]
}

// movesLock is the class of the locks of shards, whatever they move to.
type movesLock struct{}

// moveShard has the clients whose hash begins with its number.
type moveShard[M comparable] struct {
	mu lockorder.Mutex[movesLock] // guards to; nothing else is locked under it
	to map[uint64]move[M]         // by the client's key
	_  [48]byte                   // shards do not share cache lines
}

// move is where a client is, and the tick at which that was last of use.
type move[M comparable] struct {
	to   M
	used uint32
}

// shardOf is the number of the shard that a client's key belongs to.
func shardOf(key uint64) int { return int(Mix(key) >> 58) }

func (t *Moves[M]) shard(key uint64) *moveShard[M] { return &t.shards[shardOf(key)] }

// touch notes that the shard of that number has changed.
func (t *Moves[M]) touch(shard int) { t.changed.Or(1 << shard) }

// Changed returns which shards changed since it was last called, a bit for each.
func (t *Moves[M]) Changed() uint64 { return t.changed.Swap(0) }

// TouchKey makes the shard of a client count as changed.
func (t *Moves[M]) TouchKey(key uint64) { t.touch(shardOf(key)) }

// Get returns where the client was moved to, or the zero M.
func (t *Moves[M]) Get(key uint64, now uint32) M {
	if t.count.Load() == 0 {
		var none M
		return none
	}
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.to[key]
	if ok && e.used != now {
		s.to[key] = move[M]{e.to, now}
	}
	return e.to
}

// Len is how many there are.
func (t *Moves[M]) Len() int64 { return t.count.Load() }

// Put remembers where the client was moved to. It reports whether that is new.
func (t *Moves[M]) Put(key uint64, to M, now uint32) bool {
	if !t.Restore(key, to, now) {
		return false
	}
	t.touch(shardOf(key))
	return true
}

// Restore is Put of what was known before: no shard counts as changed for it.
func (t *Moves[M]) Restore(key uint64, to M, now uint32) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.to[key]
	switch {
	case ok:
	case len(s.to) == ShardMoves:
		delete(s.to, s.oldest(now))
	default:
		t.count.Add(1)
		if s.to == nil {
			s.to = make(map[uint64]move[M])
		}
	}
	s.to[key] = move[M]{to, now}
	return e.to != to
}

// Drop forgets the client's move, if it still is the one to that member. It
// reports whether it was.
func (t *Moves[M]) Drop(key uint64, to M) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.to[key]; !ok || e.to != to {
		return false
	}
	delete(s.to, key)
	t.count.Add(-1)
	t.touch(shardOf(key))
	return true
}

// DropIf forgets all moves for which gone is true, and returns how many.
func (t *Moves[M]) DropIf(gone func(key uint64, to M) bool) (n int) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		for key, e := range s.to {
			if gone(key, e.to) {
				delete(s.to, key)
				t.touch(k)
				n++
			}
		}
		s.mu.Unlock()
	}
	t.count.Add(int64(-n))
	return n
}

// Each calls f for every move of one shard.
func (t *Moves[M]) Each(shard int, f func(key uint64, to M)) {
	s := &t.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.to {
		f(key, e.to)
	}
}

// oldest is the key of the entry that was not used for the longest time. The
// shard must not be empty.
func (s *moveShard[M]) oldest(now uint32) (at uint64) {
	age := int64(-1)
	for key, e := range s.to {
		if a := int64(now - e.used); a > age { // the clock may have wrapped
			at, age = key, a
		}
	}
	return at
}
