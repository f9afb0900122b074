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
type moves struct {
	count  atomic.Int64
	shards [moveShards]moveShard
}

// moveShard is a hash table with linear probing. It is of our own because a look-up
// costs what it touches in memory: here that is one entry.
type moveShard struct {
	mu    sync.Mutex // guards the rest
	table []move     // a power of two, at most half full
	used  int
	_     [64]byte // shards do not share cache lines
}

// move is one entry, free when to is nil.
type move struct {
	key  uint64
	to   *Member
	used uint32
}

// locate is the key's shard and the hash for its place there.
func (t *moves) locate(key uint64) (*moveShard, uint64) {
	h := mix(key)
	return &t.shards[h>>58], h
}

// get returns where the client was moved to, or nil.
func (t *moves) get(key uint64, now uint32) (to *Member) {
	if t.count.Load() == 0 {
		return nil
	}
	s, h := t.locate(key)
	s.mu.Lock()
	if e := s.find(key, h); e != nil {
		to = e.to
		if e.used != now {
			e.used = now
		}
	}
	s.mu.Unlock()
	return to
}

// put remembers where the client was moved to. It tells whether that is new.
func (t *moves) put(key uint64, to *Member, now uint32) bool {
	s, h := t.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(key, h); e != nil {
		changed := e.to != to
		e.to, e.used = to, now
		return changed
	}
	if s.used == shardMoves {
		s.remove(s.oldest(now))
	} else {
		t.count.Add(1)
	}
	s.insert(move{key, to, now})
	return true
}

// drop forgets the client's move, if it still is the one to that member.
func (t *moves) drop(key uint64, to *Member) bool {
	s, h := t.locate(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key, h)
	if e == nil || e.to != to {
		return false
	}
	s.remove(e)
	t.count.Add(-1)
	return true
}

// dropIf forgets all moves for which gone is true, and returns how many.
func (t *moves) dropIf(gone func(key uint64, to *Member) bool) (n int) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		old := s.table
		s.table, s.used = make([]move, len(old)), 0
		for _, e := range old {
			switch {
			case e.to == nil:
			case gone(e.key, e.to):
				n++
			default:
				s.insert(e)
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
		for _, e := range s.table {
			if e.to != nil {
				f(e.key, e.to)
			}
		}
		s.mu.Unlock()
	}
}

// find returns the key's entry, or nil.
func (s *moveShard) find(key, h uint64) *move {
	mask := uint64(len(s.table)) - 1
	for i := h; len(s.table) > 0; i++ {
		switch e := &s.table[i&mask]; {
		case e.to == nil:
			return nil
		case e.key == key:
			return e
		}
	}
	return nil
}

// insert adds an entry whose key is not there.
func (s *moveShard) insert(e move) {
	if 2*(s.used+1) > len(s.table) {
		old := s.table
		s.table, s.used = make([]move, max(2*len(old), 16)), 0
		for _, o := range old {
			if o.to != nil {
				s.insert(o)
			}
		}
	}
	mask := uint64(len(s.table)) - 1
	i := mix(e.key)
	for s.table[i&mask].to != nil {
		i++
	}
	s.table[i&mask] = e
	s.used++
}

// remove frees an entry, and moves up those that had to go past it.
func (s *moveShard) remove(e *move) {
	mask := uint64(len(s.table)) - 1
	gap := mix(e.key) & mask
	for &s.table[gap] != e {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; s.table[i].to != nil; i = (i + 1) & mask {
		// It may move into the gap unless its own place lies behind that.
		if own := mix(s.table[i].key) & mask; (i-own)&mask >= (i-gap)&mask {
			s.table[gap], gap = s.table[i], i
		}
	}
	s.table[gap] = move{}
	s.used--
}

// oldest is the entry that was not used for the longest time.
func (s *moveShard) oldest(now uint32) (at *move) {
	for i := range s.table {
		e := &s.table[i]
		if e.to != nil && (at == nil || now-e.used > now-at.used) { // the clock may have wrapped
			at = e
		}
	}
	return at
}
