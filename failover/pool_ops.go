// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// UnknownError says that an address is not in the pool.
type UnknownError struct {
	Pool string
	URI  string
	// Known are the addresses that are in the pool.
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("pool %s has no address %s: it has %s", address.Quote(e.Pool), address.Quote(e.URI), strings.Join(e.Known, ", "))
}

// ErrLast says that the last address of a pool is never removed.
var ErrLast = errors.New("the last address of a pool is never removed")

// do carries out an operation of the user.
func (p *Pool) do(f func(x *machine) error) (err error) {
	p.feed(inDo{func(x *machine) { err = f(x) }})
	return err
}

// Failover moves all clients to one member, or, when to is nil, to the next one
// in the order. That holds until Failback, or until the member breaks or is
// drained. New requests move, nothing in flight is cut.
func (p *Pool) Failover(to *address.URI) error {
	return p.do(func(x *machine) error {
		m, err := x.target(to)
		if err != nil {
			return err
		}
		x.forced = m
		x.counts.failovers["manual"]++
		x.dirty, x.changed = true, true
		x.log(slog.LevelInfo, "moved to another backend by hand", "upstream", m.Name)
		return nil
	})
}

func (x *machine) target(to *address.URI) (*Member, error) {
	if to != nil {
		m, err := x.known(*to)
		switch {
		case err != nil:
			return nil, err
		case !m.serves():
			return nil, fmt.Errorf("pool %s: %s is %s and takes no requests", address.Quote(x.name), m.Name, m.status())
		}
		return m, nil
	}
	list := x.order.members
	at := 0
	for i, m := range list {
		if m == x.forced || x.forced == nil && m == x.current {
			at = i
		}
	}
	for i := range list {
		if m := list[(at+1+i)%len(list)]; m.serves() && i < len(list)-1 {
			return m, nil
		}
	}
	return nil, fmt.Errorf("pool %s has no other backend that takes requests", address.Quote(x.name))
}

// Failback ends a manual failover and calls all clients back to their own
// members, priority members included as soon as they answer.
func (p *Pool) Failback() error {
	return p.do(func(x *machine) error {
		x.forced = nil
		x.dirty, x.changed = true, true
		clients := x.p.moves.dropIf(func(uint64, *Member) bool { return true })
		for _, m := range x.members {
			if m.state == stateTrial && m.rank >= 0 {
				x.set(m, stateUp) // without the proof
				m.failback.done(x.now)
			}
			m.home = m.home || m.state != stateDown
		}
		x.counts.failovers["failback"]++
		x.log(slog.LevelInfo, "moved back by hand", "clients", clients)
		x.emit("failover_failback", map[string]any{"manual": true, "clients": clients})
		return nil
	})
}

// Rebalance calls clients back to their own members as soon as those serve. A
// priority member that has to prove itself first still does.
func (p *Pool) Rebalance() {
	p.feed(inDo{(*machine).rebalance})
}

func (x *machine) rebalance() {
	for _, m := range x.members {
		m.home = m.home || m.state != stateDown
	}
	x.dirty = true
	x.log(slog.LevelInfo, "clients are spread again")
}

// Find is the member with that address; without a scheme the dial address decides.
func (p *Pool) Find(u address.URI) (m *Member, err error) {
	err = p.do(func(x *machine) (err error) {
		m, err = x.known(u)
		return err
	})
	return m, err
}

// SetDrained says which addresses, by name, are drained, and that all others are
// not. It holds for those that become members later, too. A member that is drained
// gets no new requests, those in progress go on; one that is resumed is pinged at
// once, and is back when it answers.
func (p *Pool) SetDrained(names []string) {
	p.feed(inDo{func(x *machine) {
		clear(x.drains)
		for _, name := range names {
			x.drains[name] = true
		}
		x.dirty = true
		for _, m := range x.members {
			switch drained := x.drains[m.Name]; {
			case !x.running:
				m.drained = drained
			case drained:
				x.drain(m)
			default:
				x.resume(m)
			}
		}
	}})
}

func (x *machine) drain(m *Member) {
	if m.drained {
		return
	}
	m.drained, m.inPass = true, false
	if x.forced == m {
		x.forced = nil
	}
	x.counts.failovers["drain"]++
	x.member("drained", m)
}

func (x *machine) resume(m *Member) {
	if !m.drained {
		return
	}
	m.drained = false
	if m.state != stateDown {
		x.set(m, stateDown)
		m.seen, m.home = false, false
		x.renew(m)
	}
	x.passSoon()
	x.member("resumed", m)
}

// AddURIs adds addresses at run time. They get requests from their first
// answered ping on. It returns how many were new.
func (p *Pool) AddURIs(uris []address.URI, rebalance bool) (added int, err error) {
	err = p.do(func(x *machine) error {
		if err := x.schemesFit(uris); err != nil {
			return err
		}
		for _, u := range uris {
			x.removed = slices.DeleteFunc(x.removed, func(r address.URI) bool { return r.Key() == u.Key() })
			if m := x.find(u); m != nil {
				m.sourced, m.dynamic = false, false // now it is the operator's
				m.restricted.Store(false)
				continue
			}
			x.add(u)
			added++
		}
		if added > 0 {
			x.rank()
			x.passSoon()
			if rebalance && x.opt.RebalanceUpdateURIs {
				x.rebalance()
			}
		}
		return nil
	})
	return added, err
}

// schemesFit tells whether new addresses have the scheme of the members.
func (x *machine) schemesFit(uris []address.URI) error {
	for _, u := range uris {
		if len(x.members) > 0 && u.Scheme != x.members[0].URI.Scheme &&
			u.Scheme != address.SchemeUnix && x.members[0].URI.Scheme != address.SchemeUnix {
			return fmt.Errorf("adding %s to pool %s: %w", u.Name(), address.Quote(x.name), address.SchemeMismatch(x.members[0].URI, u))
		}
	}
	return nil
}

func (x *machine) add(u address.URI) *Member {
	m := x.newMember(u)
	m.pushed, m.unproved, m.state, m.home = true, true, stateDown, true
	m.base = x.now
	x.members = append(x.members, m)
	x.sampler.configure(x.members)
	x.member("added", m)
	return m
}

// RemoveURIs removes addresses at run time, also configured ones. Their
// requests in progress go on. The last address is never removed: who names them
// all gets ErrLast, and none is removed. It returns how many were removed.
func (p *Pool) RemoveURIs(uris []address.URI) (removed int, err error) {
	err = p.do(func(x *machine) error {
		leave := make(map[*Member]bool)
		for _, u := range uris {
			m, err := x.known(u)
			if err != nil {
				return err
			}
			leave[m] = true
			if len(leave) == len(x.members) {
				return fmt.Errorf("removing %s from pool %s: %w", m.Name, address.Quote(x.name), ErrLast)
			}
		}
		for _, m := range slices.Clone(x.members) {
			if !leave[m] {
				continue
			}
			x.members = slices.DeleteFunc(x.members, func(o *Member) bool { return o == m })
			if !m.pushed || m.sourced || m.dynamic {
				x.removed = append(x.removed, m.URI)
			}
			x.retire(m)
			x.rank()
			x.member("removed", m)
			removed++
		}
		return nil
	})
	return removed, err
}

// known is the member with that address; without a scheme the dial address decides.
func (x *machine) known(u address.URI) (*Member, error) {
	if m := x.find(u); m != nil {
		return m, nil
	}
	e := &UnknownError{Pool: x.name, URI: u.Name()}
	for _, m := range x.members {
		if u.Scheme == "" && m.URI.Dial() == u.Dial() {
			return m, nil
		}
		e.Known = append(e.Known, m.Name)
	}
	return nil, e
}

// member tells of a change of the list.
func (x *machine) member(change string, m *Member) {
	x.dirty, x.changed = true, true
	x.log(slog.LevelInfo, "membership changed", "change", change, "upstream", m.Name)
	x.emit("failover_membership", map[string]any{"change": change, "upstream": m.Name})
}
