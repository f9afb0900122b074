// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// Snapshot is what the operator and experience taught a pool: what a new
// process starts from. It is for encoding/json.
type Snapshot struct {
	// Reached says that a backend has answered at some time.
	Reached bool `json:"reached,omitempty"`
	// Failover is the target of a manual failover, Current where all clients are
	// with affinity pool.
	Failover string `json:"failover,omitempty"`
	Current  string `json:"current,omitempty"`
	// Added and Removed are the operator's. What is drained belongs to addresses, in
	// whatever pool they are: see SetDrained.
	Added []address.URI `json:"added,omitempty"`
	// Dynamic are those that only the dynamic source named.
	Dynamic []address.URI `json:"dynamic,omitempty"`
	// Sources have what other sources of addresses said last.
	Sources map[string]membership.SourceSnapshot `json:"sources,omitempty"`
	// Unproved are those of Added, Dynamic and Sources that have never answered.
	Unproved []string      `json:"unproved,omitempty"`
	Removed  []address.URI `json:"removed,omitempty"`
	// Down are the members that are down, or came back and have yet to prove it.
	Down []DownSnapshot `json:"down,omitempty"`
	// Back are the members that serve and do not call their clients home.
	Back []BackSnapshot `json:"back,omitempty"`
	// Moved has for each member the keys of the clients that were moved to it,
	// eight bytes each.
	Moved map[string][]byte `json:"moved,omitempty"`
}

// Joined are the names of the addresses that became members at run time.
func (s Snapshot) Joined() (names []string) {
	for _, u := range slices.Concat(s.Added, s.Dynamic) {
		names = append(names, u.Name())
	}
	for _, n := range membership.Restore(s.Sources).Named() {
		names = append(names, n.URI.Name())
	}
	return names
}

// DownSnapshot is one member that is down.
type DownSnapshot struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Error string    `json:"error,omitempty"`
}

// BackSnapshot is one member whose clients stay where they were moved to.
type BackSnapshot struct {
	Name string `json:"name"`
	// Since is when it came back; zero when it never was down.
	Since time.Time `json:"since,omitzero"`
	// SentTo is where it asked its clients to go, if it did.
	SentTo string `json:"sent_to,omitempty"`
}

// Snapshot is what is worth keeping of the pool now.
func (p *Pool) Snapshot() Snapshot {
	s := p.Head()
	s.Moved = make(map[string][]byte)
	for part := range affinity.MoveShards {
		p.Moved(part, s.Moved)
	}
	return s
}

// Moved adds to a map what Snapshot has of the clients in one of
// [affinity.MoveShards] parts.
func (p *Pool) Moved(part int, to map[string][]byte) {
	p.moves.Each(part, func(key uint64, m *Member) {
		if m.shown.index.Load() >= 0 {
			to[m.Name] = binary.BigEndian.AppendUint64(to[m.Name], key)
		}
	})
}

// MovedChanged returns which parts of the moved clients have changed since it was
// last called, a bit for each. What Restore gave the pool and what it has a place for
// counts as known.
func (p *Pool) MovedChanged() uint64 { return p.moves.Changed() }

// Away is how many clients were moved.
func (p *Pool) Away() int { return int(p.moves.Len()) }

// Head is what Snapshot is without the clients that were moved.
func (p *Pool) Head() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	s := Snapshot{Reached: x.reached, Removed: slices.Clone(x.removed), Sources: x.said}
	if x.forced != nil {
		s.Failover = x.forced.Name
	}
	if x.current != nil && x.opt.EffectiveAffinity().Kind == address.AffinityPool {
		s.Current = x.current.Name
	}
	for _, m := range x.members {
		if m.dynamic {
			s.Dynamic = append(s.Dynamic, m.URI)
		} else if m.pushed && !m.sourced {
			s.Added = append(s.Added, m.URI)
		}
		if m.unproved {
			s.Unproved = append(s.Unproved, m.Name)
		}
		if !m.unproved && (m.state == stateDown || m.state == stateTrial) {
			s.Down = append(s.Down, DownSnapshot{Name: m.Name, Since: m.since, Error: m.err.String()})
		} else if x.keepsBack(m) {
			s.Back = append(s.Back, m.keepBack())
		}
	}
	return s
}

// Restore gives a pool what an earlier one has learnt. It is meant for before
// Start. What is unknown to the configuration is left out.
func (p *Pool) Restore(s Snapshot) error {
	return p.feed(inRestore{s}).err
}

func (x *machine) restore(s Snapshot) error {
	x.reached = x.reached || s.Reached
	x.dirty, x.said = true, s.Sources
	x.restoreAdded(s)
	for _, u := range s.Removed {
		if m := x.find(u); m != nil && len(x.members) > 1 {
			x.members = slices.DeleteFunc(x.members, func(o *Member) bool { return o == m })
			x.retire(m)
		}
		x.removed = append(x.removed, u)
	}
	x.rank(x.opt)
	x.fitSamples()
	byName := make(map[string]*Member)
	for _, m := range x.members {
		byName[m.Name] = m
	}
	for _, d := range s.Down {
		m := byName[d.Name]
		if m == nil || m.seen {
			continue
		}
		x.set(m, stateDown)
		x.renew(m)
		m.since, m.home, m.lost = d.Since, false, true
		m.base = x.now
		if d.Error != "" {
			m.err = told(d.Error)
		}
	}
	x.restoreBack(s.Back, byName)
	x.forced, x.current = byName[s.Failover], byName[s.Current]
	if x.forced != nil && !x.forced.serves() {
		x.forced = nil
	}
	x.settleDown()
	for name, keys := range s.Moved {
		if len(keys)%8 != 0 {
			return fmt.Errorf("restoring pool %s: the clients moved to %s are damaged", address.Quote(x.pool), address.Quote(name))
		}
		for m := byName[name]; len(keys) > 0; keys = keys[8:] {
			x.requests.remember(binary.BigEndian.Uint64(keys), m)
		}
	}
	return nil
}
