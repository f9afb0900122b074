// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"maps"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

// The limits of a state, which those who send it and those who keep it know.
const (
	// MaxPiece bounds one piece of a state as JSON, in bytes.
	MaxPiece = 512 << 10
	// MaxMoved bounds the clients that were moved, of all pools together, in bytes:
	// eight for each, and the names of the members that they were moved to.
	MaxMoved = 14 << 20
	// MaxHeads bounds all the rest of the pools together, in bytes.
	MaxHeads = 4 << 20
)

// A State travels in pieces, each of which replaces what the other side has in its
// place: a Plan, then for each pool its head, which is a Pool without moved clients,
// and a Moves for each part of those.

// Plan says which pools there are, and what the operator decided about addresses.
type Plan struct {
	Drains Drains    `json:"drains,omitempty"`
	Pools  []Planned `json:"pools,omitempty"`
}

// Planned is one pool of a plan.
type Planned struct {
	Name string `json:"name"`
	// From is the name of the pool of the plan before in which what is known of this
	// one was kept; "" where it begins anew.
	From string `json:"from,omitempty"`
}

// Moves are the clients of one pool that were moved, as far as they belong to one of
// the [affinity.MoveShards] parts.
type Moves struct {
	Pool string  `json:"pool"`
	Part int     `json:"part"`
	To   []Moved `json:"to,omitempty"`
}

// Moved are the keys of clients that were moved to a member, eight bytes each.
type Moved struct {
	Name string `json:"name"`
	Keys []byte `json:"keys"`
}

// keyBytes is the size of a client's key.
const keyBytes = 8

// movesOf is a list of what a pool says of one part.
func movesOf(to map[string][]byte) []Moved {
	list := make([]Moved, 0, len(to))
	for _, name := range slices.Sorted(maps.Keys(to)) {
		list = append(list, Moved{name, to[name]})
	}
	return list
}

// sizeOf is what a list takes of MaxMoved.
func sizeOf(list []Moved) (n int) {
	for _, m := range list {
		n += len(m.Name) + len(m.Keys)
	}
	return n
}

// NewMoves is the piece for one part of a pool, without as many clients as it must be
// to take no more than room, and reports whether that is all of them.
func NewMoves(pool string, part int, to map[string][]byte, room int) (m Moves, whole bool) {
	m = Moves{Pool: pool, Part: part, To: movesOf(to)}
	for i := range m.To {
		entry := &m.To[i]
		fits := max(0, room-len(entry.Name)) / keyBytes * keyBytes
		if fits < len(entry.Keys) {
			entry.Keys = entry.Keys[:fits]
			if fits == 0 {
				m.To = m.To[:i]
			} else {
				m.To = m.To[:i+1]
			}
			return m, false
		}
		room -= len(entry.Name) + len(entry.Keys)
	}
	return m, true
}

// sound reports whether a piece is what a pool can have said.
func (m *Moves) sound() bool {
	keys := 0
	for _, to := range m.To {
		if len(to.Keys) == 0 || len(to.Keys)%keyBytes != 0 {
			return false
		}
		keys += len(to.Keys) / keyBytes
	}
	return m.Part >= 0 && m.Part < affinity.MoveShards && keys <= affinity.ShardMoves
}
