// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"sync"
	"sync/atomic"
)

const (
	// maxMoves is how many clients a pool remembers that are not on their own
	// member.
	maxMoves   = 65536
	moveShards = 64
	shardMoves = maxMoves / moveShards
)

// moves are the exceptions: which client was moved to which member. The longest
// unused one of a shard makes room for a new one; keys are hashes, so the shards
// fill evenly. Use is noted to the clock given, which need not be fine.
//
// Invariants: count is the number of entries of all shards; no shard has more
// than shardMoves; no entry leads to nil.
type moves struct {
	count  atomic.Int64
	shards [moveShards]moveShard
}

// moveShard has the clients whose hash begins with its number.
type moveShard struct {
	mu sync.Mutex      // guards to; nothing else is locked under it
	to map[uint64]move // by the client's key
	_  [48]byte        // shards do not share cache lines
}

// move is where a client is, and the tick at which that was last of use.
type move struct {
	to   *Member
	used uint32
}

func (t *moves) shard(key uint64) *moveShard { return &t.shards[mix(key)>>58] }

// get returns where the client was moved to, or nil.
func (t *moves) get(key uint64, now uint32) *Member {
	if t.count.Load() == 0 {
		return nil
	}
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.to[key]
	if ok && e.used != now {
		s.to[key] = move{e.to, now}
	}
	return e.to
}

// put remembers where the client was moved to. It reports whether that is new.
func (t *moves) put(key uint64, to *Member, now uint32) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.to[key]
	switch {
	case ok:
	case len(s.to) == shardMoves:
		delete(s.to, s.oldest(now))
	default:
		t.count.Add(1)
		if s.to == nil {
			s.to = make(map[uint64]move)
		}
	}
	s.to[key] = move{to, now}
	return e.to != to
}

// drop forgets the client's move, if it still is the one to that member. It
// reports whether it was.
func (t *moves) drop(key uint64, to *Member) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.to[key]; !ok || e.to != to {
		return false
	}
	delete(s.to, key)
	t.count.Add(-1)
	return true
}

// dropIf forgets all moves for which gone is true, and returns how many.
func (t *moves) dropIf(gone func(key uint64, to *Member) bool) (n int) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		for key, e := range s.to {
			if gone(key, e.to) {
				delete(s.to, key)
				n++
			}
		}
		s.mu.Unlock()
	}
	t.count.Add(int64(-n))
	return n
}

// each calls f for every move.
func (t *moves) each(f func(key uint64, to *Member)) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		for key, e := range s.to {
			f(key, e.to)
		}
		s.mu.Unlock()
	}
}

// oldest is the key of the entry that was not used for the longest time. The
// shard must not be empty.
func (s *moveShard) oldest(now uint32) (at uint64) {
	age := int64(-1)
	for key, e := range s.to {
		if a := int64(now - e.used); a > age { // the clock may have wrapped
			at, age = key, a
		}
	}
	return at
}
