// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// Snapshot is what is worth keeping of the pool now.
func (p *Pool) Snapshot() report.Snapshot {
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
func (p *Pool) Head() report.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	s := report.Snapshot{Reached: x.reached, Removed: slices.Clone(x.removed), Sources: x.said}
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
			s.Down = append(s.Down, report.DownSnapshot{Name: m.Name, Since: m.since, Error: m.err.String(), Back: !m.flaps.Away()})
		} else if x.keepsBack(m) {
			s.Back = append(s.Back, m.keepBack())
		}
	}
	return s
}

// Restore gives a pool what an earlier one has learnt. It is meant for before
// Start. What is unknown to the configuration is left out.
func (p *Pool) Restore(s report.Snapshot) error {
	return p.feed(inRestore{s}).err
}

func (x *machine) restore(s report.Snapshot) error {
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
		m.since, m.home = d.Since, false
		m.base = x.now
		if !d.Back {
			m.flaps.Restored(d.Since)
		}
		if d.Error != "" {
			m.err, m.errAt = report.Told(d.Error), d.Since
		}
	}
	x.restoreBack(s.Back, byName)
	x.forced, x.current = byName[s.Failover], byName[s.Current]
	if x.forced != nil && x.forced.state == stateDown {
		x.revive(x.forced) // what breaks is no target any more: it was on trial
	}
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
