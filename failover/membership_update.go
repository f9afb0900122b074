// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ErrTooMany says that lists from elsewhere name more addresses than a pool takes.
var ErrTooMany = fmt.Errorf("the lists of this pool together name more than %d addresses", MaxListAddresses)

// pushSpacing is the time between the first pings of addresses that came with
// one list, beyond the first few: a long list must not disturb what serves.
const (
	pushSpacing = 10 * time.Millisecond
	pushAtOnce  = 16
)

// Restricted tells that only others than the operator named this address: where
// it leads is checked at each dial.
func (m *Member) Restricted() bool { return m.restricted.Load() }

// UpdateURIs makes the addresses that sources name members: named ones that are
// new are added, and those that none of them names any more are removed, except
// the configured ones, the operator's own, and the last of the pool. What the
// operator removed stays away. It returns how many came and went; on an error
// nothing changed.
func (p *Pool) UpdateURIs(s *Membership, rebalance bool) (added, removed int, err error) {
	named, said := s.Named(), s.snapshot()
	err = p.do(func(x *machine) error {
		var err error
		if added, removed, err = x.update(named); err != nil {
			return err
		}
		x.said, x.changed = said, true
		if rebalance && added+removed > 0 {
			x.rebalance()
		}
		return nil
	})
	return added, removed, err
}

// Said is what sources have said of this pool's addresses, perhaps to an earlier
// process.
func (p *Pool) Said() *Membership {
	p.mu.Lock()
	defer p.mu.Unlock()
	return restoreMembership(p.machine.said)
}

func (x *machine) update(named []Named) (added, removed int, err error) {
	if len(named) > MaxListAddresses {
		return 0, 0, ErrTooMany
	}
	byKey := make(map[string]*Member, len(x.members))
	for _, m := range x.members {
		byKey[m.Name] = m
	}
	away := make(map[string]bool, len(x.removed))
	for _, u := range x.removed {
		away[u.Key()] = true
	}
	if n := named; len(n) > 0 && len(x.members) > 0 {
		if have := x.members[0].URI; have.Scheme != n[0].URI.Scheme && have.Scheme != SchemeUnix && n[0].URI.Scheme != SchemeUnix {
			return 0, 0, schemeMismatch(have, n[0].URI)
		}
	}
	wanted := make(map[string]bool, len(named))
	for _, n := range named {
		key := n.URI.Key()
		wanted[key] = true
		m := byKey[key]
		if m == nil && !away[key] {
			x.push(n, added)
			added++
		} else if m != nil && m.sourced {
			m.restricted.Store(!n.Trusted)
		}
	}
	for _, m := range slices.Clone(x.members) {
		if m.sourced && !wanted[m.Name] && len(x.members) > 1 {
			x.unlist(m)
			removed++
		}
	}
	if added+removed > 0 {
		x.rank()
		x.sampler.configure(x.members)
		x.dirty, x.changed = true, true
	}
	return added, removed, nil
}

// push adds an address that a source named. place is its place among those that
// came together.
func (x *machine) push(n Named, place int) {
	m := x.newMember(n.URI)
	m.pushed, m.sourced, m.unproved, m.state, m.home = true, true, true, stateDown, true
	m.restricted.Store(!n.Trusted)
	m.base = x.now.Add(time.Duration(max(place-pushAtOnce, 0)) * pushSpacing)
	x.members = append(x.members, m)
	x.member("added", m)
}

// unlist removes a member that no source names any more. Its requests in
// progress go on.
func (x *machine) unlist(m *Member) {
	x.members = slices.DeleteFunc(x.members, func(o *Member) bool { return o == m })
	x.retire(m)
	x.member("removed", m)
}

// Answering are the members that answer now, with a number that grows each time
// one was lost: a member with another number than before may be another program.
func (p *Pool) Answering() map[*Member]uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make(map[*Member]uint32)
	for _, m := range p.machine.members {
		if m.serves() && m.seen {
			list[m] = m.epoch.Load()
		}
	}
	return list
}

// Unanswering are the addresses that are there only because sources named them,
// and that are down.
func (p *Pool) Unanswering() (down []URI) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.machine.members {
		if m.sourced && m.state == stateDown {
			down = append(down, m.URI)
		}
	}
	return down
}

// Online tells whether a backend of the pool answers.
func (p *Pool) Online() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.online()
}

// Reconnect moves the clients of from to another member, because that backend
// asks for it. They come back when the clients are called home: after ten
// minutes with randomize, by priority_backup, Rebalance or Failback. Requests in
// progress go on. No address is lost.
func (p *Pool) Reconnect(from *Member, to URI) error {
	return p.do(func(x *machine) error {
		m, err := x.known(to)
		switch {
		case err != nil:
			return err
		case m == from:
			return errors.New("the backend asks its clients to move to itself")
		case !m.serves():
			return fmt.Errorf("%s is %s and takes no requests", m.Name, m.status())
		case x.find(from.URI) != from || !from.serves():
			return nil // it has no clients any more
		}
		from.sentTo = m
		x.p.moves.dropIf(func(_ uint64, at *Member) bool { return at == from })
		x.moved(from, m)
		x.log(slog.LevelInfo, "a backend sends its clients elsewhere", "upstream", from.Name, "to", m.Name)
		x.emit("failover_membership", map[string]any{"change": "reconnect", "upstream": from.Name, "to": m.Name})
		return nil
	})
}

// sent says for each member of a view where its clients were sent; nil when
// none were.
func (x *machine) sent(v *view) []int32 {
	var to []int32
	for i, m := range v.members {
		if m.sentTo == nil {
			continue
		}
		at := v.find(m.sentTo)
		if m.home || at < 0 || !m.sentTo.serves() {
			m.sentTo, x.changed = nil, true
			continue
		}
		if to == nil {
			to = make([]int32, len(v.members))
			for j := range to {
				to[j] = -1
			}
		}
		to[i] = int32(at)
	}
	return to
}

// follow takes the member that the clients of own were sent to, unless they are
// called elsewhere.
func (c *chooser) follow(own int) *Member {
	if c.v.sent == nil || c.v.sent[own] < 0 {
		return nil
	}
	to := int(c.v.sent[own])
	if c.v.recalls(own, to) || c.try(to) != taken {
		return nil
	}
	c.moved, c.from = c.v.members[to], c.v.members[own]
	return c.moved
}

// All are the pool's members, those that have not answered yet included.
func (p *Pool) All() map[*Member]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[*Member]bool, len(p.machine.members))
	for _, m := range p.machine.members {
		all[m] = true
	}
	return all
}
