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
// fill evenly.
type moves struct {
	count  atomic.Int64
	shards [moveShards]moveShard
}

type moveShard struct {
	mu    sync.Mutex // guards all of the shard
	index map[uint64]int32
	list  []move // used as a ring of the most recently used, by links
	free  []int32
	head  int32 // most recently used; -1 when empty
	tail  int32
	_     [64]byte
}

type move struct {
	key        uint64
	to         *Member
	prev, next int32
}

func newMoves() *moves {
	t := new(moves)
	for i := range t.shards {
		t.shards[i].head, t.shards[i].tail = -1, -1
	}
	return t
}

func (t *moves) shard(key uint64) *moveShard { return &t.shards[mix(key)>>58] }

// get returns where the client was moved to, or nil.
func (t *moves) get(key uint64) *Member {
	if t.count.Load() == 0 {
		return nil
	}
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[key]
	if !ok {
		return nil
	}
	if s.head != i {
		s.unlink(i)
		s.push(i)
	}
	return s.list[i].to
}

// put remembers where the client was moved to. It tells whether that is new.
func (t *moves) put(key uint64, to *Member) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[key]; ok {
		changed := s.list[i].to != to
		s.list[i].to = to
		return changed
	}
	if s.index == nil {
		s.index = make(map[uint64]int32)
	}
	if len(s.index) >= shardMoves {
		s.remove(s.tail)
		t.count.Add(-1)
	}
	i := int32(len(s.list))
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.list = append(s.list, move{})
	}
	s.list[i] = move{key: key, to: to}
	s.index[key] = i
	s.push(i)
	t.count.Add(1)
	return true
}

// drop forgets the client's move, if it still is the one to that member.
func (t *moves) drop(key uint64, to *Member) bool {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[key]
	if !ok || s.list[i].to != to {
		return false
	}
	s.remove(i)
	t.count.Add(-1)
	return true
}

// dropIf forgets all moves for which gone is true, and returns how many.
func (t *moves) dropIf(gone func(key uint64, to *Member) bool) (n int) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		for key, i := range s.index {
			if gone(key, s.list[i].to) {
				s.remove(i)
				n++
			}
		}
		s.mu.Unlock()
	}
	t.count.Add(int64(-n))
	return n
}

// each calls f for every move, the most recently used of a shard last.
func (t *moves) each(f func(key uint64, to *Member)) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		for i := s.tail; i >= 0; i = s.list[i].prev {
			f(s.list[i].key, s.list[i].to)
		}
		s.mu.Unlock()
	}
}

func (s *moveShard) remove(i int32) {
	s.unlink(i)
	delete(s.index, s.list[i].key)
	s.list[i].to = nil
	s.free = append(s.free, i)
}

func (s *moveShard) push(i int32) {
	s.list[i].prev, s.list[i].next = -1, s.head
	if s.head >= 0 {
		s.list[s.head].prev = i
	} else {
		s.tail = i
	}
	s.head = i
}

func (s *moveShard) unlink(i int32) {
	e := &s.list[i]
	if e.prev >= 0 {
		s.list[e.prev].next = e.next
	} else {
		s.head = e.next
	}
	if e.next >= 0 {
		s.list[e.next].prev = e.prev
	} else {
		s.tail = e.prev
	}
}
