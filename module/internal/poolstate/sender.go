// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// Source is one pool as its process has it.
type Source struct {
	Identity
	Pool *failover.Pool
	// From is the name of the pool of an earlier process that this one goes on from; ""
	// is none.
	From string
	// Touched reports whether its head may have changed since that was last asked for.
	Touched func() bool
}

// Sender keeps another process's Kept as the pools here are, and sends what differs. It
// is not for concurrent use.
type Sender struct {
	send func(topic string, data json.RawMessage) error

	begun  bool                      // a plan was sent; what follows is of the last one
	order  []string                  // the names of its pools
	drains Drains                    // those in it
	names  map[*failover.Pool]string // of its pools
	heads  map[string][]byte         // by pool, as they were sent last
	room   room
}

// NewSender makes a sender to a Kept that is now as from is, which is not used after.
func NewSender(from *Kept, send func(topic string, data json.RawMessage) error) *Sender {
	return &Sender{send: send, room: from.room, heads: make(map[string][]byte)}
}

// Send sends what has changed of the pools, which are all there are, and of the
// decisions about addresses. left says what did not fit into the limits; an error says
// that something is not known to the other side that an operator decided.
func (s *Sender) Send(drains Drains, pools []Source) (left string, err error) {
	fresh, err := s.sendPlan(drains, pools)
	if err != nil {
		return "", err
	}
	away := 0
	var failed []error
	for _, p := range pools {
		away += p.Pool.Away()
		if p.Touched() || s.heads[p.Name] == nil {
			without, err := s.sendHead(p)
			if failed = append(failed, err); without != "" {
				left = without
			}
		}
	}
	for _, p := range pools {
		whole, err := s.sendMoves(p, fresh[p.Pool], away)
		if failed = append(failed, err); !whole && left == "" {
			left = "clients that were moved"
		}
	}
	return left, errors.Join(failed...)
}

// sendPlan says which pools there are, and what the operator decided, if that has
// changed, and returns the pools that begin anew.
func (s *Sender) sendPlan(drains Drains, pools []Source) (fresh map[*failover.Pool]bool, err error) {
	plan, order := Plan{Drains: drains}, make([]string, 0, len(pools))
	fresh, names := make(map[*failover.Pool]bool), make(map[*failover.Pool]string, len(pools))
	for _, p := range pools {
		from := s.names[p.Pool]
		if !s.begun {
			from = p.From
		}
		if from == "" {
			fresh[p.Pool] = true
		}
		order, names[p.Pool] = append(order, p.Name), p.Name
		plan.Pools = append(plan.Pools, Planned{p.Name, from})
	}
	if s.begun && len(fresh) == 0 && slices.Equal(order, s.order) && slices.Equal(drains, s.drains) {
		return nil, nil
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxPiece {
		return nil, fmt.Errorf("reporting %d pools: %w: %d bytes, the limit is %d", len(pools), ErrTooLarge, len(data), MaxPiece)
	}
	if err := s.send(parlance.TopicPlan, data); err != nil {
		return nil, err
	}
	for p := range s.names {
		if _, there := names[p]; !there {
			delete(s.heads, s.names[p])
		}
	}
	for p := range fresh {
		delete(s.heads, names[p])
	}
	s.room.plan(plan)
	s.begun, s.order, s.drains, s.names = true, order, drains, names
	return fresh, nil
}

// sendHead sends the head of a pool if it has changed.
func (s *Sender) sendHead(p Source) (left string, err error) {
	data, left, err := Pool{p.Identity, p.Pool.Head()}.EncodeHead(s.room.forHead(p.Name))
	if err != nil || bytes.Equal(data, s.heads[p.Name]) {
		return left, err
	}
	if err := s.send(parlance.TopicPool, data); err != nil {
		return left, err
	}
	s.room.head(p.Name, len(data))
	s.heads[p.Name] = data
	return left, nil
}

// sendMoves sends the parts of the moved clients that have changed, all of a pool that
// begins anew. away is how many clients were moved in all pools: when these are too
// many, each part is sent with the same share.
func (s *Sender) sendMoves(p Source, all bool, away int) (whole bool, err error) {
	changed := p.Pool.MovedChanged()
	if all {
		changed = ^uint64(0)
	}
	whole = true
	for changed != 0 {
		part := bits.TrailingZeros64(changed)
		changed &= changed - 1
		to := make(map[string][]byte)
		p.Pool.Moved(part, to)
		room := min(s.room.forMoves(p.Name, part), MaxPiece/2)
		if size := sizeOf(movesOf(to)); away*keyBytes > MaxMoved {
			room = min(room, size*(MaxMoved/keyBytes)/away)
		}
		m, fits := NewMoves(p.Name, part, to, room)
		whole = whole && fits
		size := sizeOf(m.To)
		if size == 0 && s.room.pools[p.Name].moved[part] == 0 {
			continue // as the other side has it
		}
		data, err := json.Marshal(m)
		if err == nil {
			err = s.send(parlance.TopicMoved, data)
		}
		if err != nil {
			return whole, err
		}
		s.room.moves(p.Name, part, size)
	}
	return whole, nil
}
