// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// Kept is a State as the pieces that it came in. The zero value has no pools. It takes
// no more than the limits of this package allow, whoever sends.
//
// Invariant: pools has exactly the pools of plan.
type Kept struct {
	plan  Plan
	pools map[string]*keptPool
	room  room
}

// keptPool is one pool. What it points to is never changed, only replaced.
type keptPool struct {
	head  json.RawMessage
	moved [affinity.MoveShards][]Moved
}

// ErrPiece says that a piece is none that a sender may send.
var ErrPiece = errors.New("piece of the pools' state is not what it should be")

// Take puts a piece in its place. An error leaves everything as it was. known reports
// whether the topic is one of a state.
func (k *Kept) Take(topic string, data []byte) (known bool, err error) {
	switch topic {
	case parlance.TopicPlan:
		err = k.takePlan(data)
	case parlance.TopicPool:
		err = k.takeHead(data)
	case parlance.TopicMoved:
		err = k.takeMoves(data)
	default:
		return false, nil
	}
	return true, err
}

func (k *Kept) takePlan(data []byte) error {
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%w: %w", ErrPiece, err)
	}
	pools := make(map[string]*keptPool, len(p.Pools))
	used := make(map[string]bool)
	for _, next := range p.Pools {
		if pools[next.Name] != nil || used[next.From] {
			return fmt.Errorf("%w: pool %q is in it twice", ErrPiece, next.Name)
		}
		used[next.From] = next.From != ""
		pool := k.pools[next.From]
		if pool == nil || next.From == "" {
			pool = new(keptPool)
		}
		pools[next.Name] = pool
	}
	k.room.plan(p)
	k.plan, k.pools = p, pools
	return nil
}

func (k *Kept) takeHead(data []byte) error {
	var p Pool
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%w: %w", ErrPiece, err)
	}
	if k.pools[p.Name] == nil || len(p.Moved) > 0 || len(data) > k.room.forHead(p.Name) {
		return fmt.Errorf("%w: the head of pool %q has %d bytes, or no place", ErrPiece, p.Name, len(data))
	}
	// As senders write it, so that both sides count the same.
	head, err := json.Marshal(json.RawMessage(data))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPiece, err)
	}
	k.room.head(p.Name, len(head))
	k.change(p.Name).head = head
	return nil
}

func (k *Kept) takeMoves(data []byte) error {
	var m Moves
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%w: %w", ErrPiece, err)
	}
	size := sizeOf(m.To)
	if k.pools[m.Pool] == nil || !m.sound() || size > k.room.forMoves(m.Pool, m.Part) {
		return fmt.Errorf("%w: part %d of the moved clients of pool %q has %d bytes, or no place", ErrPiece, m.Part, m.Pool, size)
	}
	k.room.moves(m.Pool, m.Part, size)
	for i := range m.To {
		m.To[i].Keys = slices.Clip(bytes.Clone(m.To[i].Keys)) // decoding reserved more
	}
	k.change(m.Pool).moved[m.Part] = slices.Clip(m.To)
	return nil
}

// change replaces a pool by a copy of it that may be changed: what Pieces returned
// before goes on with the old one.
func (k *Kept) change(name string) *keptPool {
	pool := *k.pools[name]
	k.pools[name] = &pool
	return &pool
}

// Pieces are what makes another Kept the same as this one is now, in order, as topic
// and value for encoding/json. They are not changed by what is taken later.
func (k *Kept) Pieces() iter.Seq2[string, any] {
	plan := Plan{Drains: k.plan.Drains}
	pools := make([]*keptPool, 0, len(k.plan.Pools))
	for _, p := range k.plan.Pools {
		plan.Pools = append(plan.Pools, Planned{Name: p.Name})
		pools = append(pools, k.pools[p.Name])
	}
	return func(yield func(string, any) bool) {
		if !yield(parlance.TopicPlan, plan) {
			return
		}
		for i, pool := range pools {
			if pool.head != nil && !yield(parlance.TopicPool, pool.head) {
				return
			}
			for part, to := range pool.moved {
				if len(to) > 0 && !yield(parlance.TopicMoved, Moves{plan.Pools[i].Name, part, to}) {
					return
				}
			}
		}
	}
}

// State is all of it. A pool without a head has learnt nothing.
func (k *Kept) State() (State, error) {
	s := State{Drains: k.plan.Drains}
	for _, planned := range k.plan.Pools {
		kept := k.pools[planned.Name]
		if kept.head == nil {
			continue
		}
		var p Pool
		if err := json.Unmarshal(kept.head, &p); err != nil {
			return State{}, fmt.Errorf("%w: %w", ErrPiece, err)
		}
		p.Moved = make(map[string][]byte)
		for _, part := range kept.moved {
			for _, to := range part {
				p.Moved[to.Name] = append(p.Moved[to.Name], to.Keys...)
			}
		}
		s.Pools = append(s.Pools, p)
	}
	return s, nil
}
