// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"log/slog"
	"maps"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// operate carries out an order of the operator, or of a source of addresses.
func (x *machine) operate(in input) {
	out := &x.out
	switch in := in.(type) {
	case inFailover:
		out.err = x.failover(in.to)
	case inFailback:
		x.failback()
	case inRebalance:
		x.rebalance()
	case inDrains:
		x.drainThose(in.by)
	case inAdd:
		out.added, out.err = x.addAll(in.uris, in.rebalance)
	case inRemove:
		out.removed, out.err = x.removeAll(in.uris)
	case inDiscover:
		out.added, out.removed, out.err = x.discover(in.uris)
	case inUpdate:
		out.added, out.removed, out.err = x.update(in)
	case inReconnect:
		out.err = x.reconnect(in.from, in.to)
	}
}

// failover moves all clients to one member; nil for the next one.
func (x *machine) failover(to *address.URI) error {
	m, err := x.target(to)
	if err != nil {
		return err
	}
	x.forced = m
	x.dirty, x.changed = true, true
	x.log(slog.LevelInfo, "moved to another backend by hand", "upstream", m.Name)
	return nil
}

// target is the member that a manual failover goes to.
func (x *machine) target(to *address.URI) (*Member, error) {
	if to != nil {
		m, err := x.known(*to)
		switch {
		case err != nil:
			return nil, err
		case !m.serves():
			return nil, fmt.Errorf("pool %s: %s is %s and takes no requests", address.Quote(x.pool), m.Name, m.status())
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
	return nil, fmt.Errorf("pool %s has no other backend that takes requests", address.Quote(x.pool))
}

// failback calls all clients back to their own members, without the proof.
func (x *machine) failback() {
	x.forced = nil
	x.dirty, x.changed = true, true
	clients := x.requests.forget(nil)
	for _, m := range x.members {
		if m.state == stateTrial && m.rank >= 0 {
			x.set(m, stateUp)
			m.failback.Done(x.now)
		}
		m.home = m.home || m.state != stateDown
	}
	data := map[string]any{"manual": true}
	if x.opt.EffectiveAffinity().Counted() {
		data["clients"] = clients
	}
	x.emit("failover_failback", data)
}

// rebalance calls clients back to their own members as soon as those serve.
func (x *machine) rebalance() {
	for _, m := range x.members {
		m.home = m.home || m.state != stateDown
	}
	x.dirty, x.changed = true, true
	x.log(slog.LevelInfo, "clients are spread again")
}

// drainThose takes these addresses out of service, and puts all others back.
func (x *machine) drainThose(by map[string]string) {
	x.drains, x.dirty = maps.Clone(by), true
	for _, m := range x.members {
		switch _, drained := x.drains[m.Name]; {
		case !x.running:
			m.drained = drained
		case drained:
			x.drain(m)
		default:
			x.resume(m)
		}
	}
}

// drain takes a member out of service, unless it is.
func (x *machine) drain(m *Member) {
	if m.drained {
		return
	}
	m.drained, m.inPass, m.resumed = true, false, false
	if x.forced == m {
		x.forced = nil
	}
	x.forgive(m)
	x.member("drained", m)
	x.emit("failover_drained", map[string]any{"upstream": m.Name, "left": x.undrained(), "by": x.drains[m.Name]})
}

// resume ends a drain, if there is one.
func (x *machine) resume(m *Member) {
	if !m.drained {
		return
	}
	m.drained, m.resumed = false, true
	if m.state != stateDown {
		x.set(m, stateDown)
		m.seen, m.home = false, false
		x.renew(m)
	}
	x.forgive(m)
	x.passSoon()
	x.member("resumed", m)
}

// reconnect moves the clients of from elsewhere, because it asks for that. One that
// names itself has them stay, and calls home whom it had sent away. A priority
// member is not obeyed: it is where the operator wants the clients.
func (x *machine) reconnect(from *Member, to address.URI) error {
	m, err := x.known(to)
	switch {
	case err != nil:
		return err
	case m == from:
		if m.sentTo != nil {
			m.sentTo, m.home = nil, true
			x.dirty, x.changed = true, true
		}
		return nil
	case from.rank >= 0:
		return errPriority
	case !m.serves():
		return fmt.Errorf("%s is %s and takes no requests", m.Name, m.status())
	case x.find(from.URI) != from || !from.serves():
		return nil // it has no clients any more
	}
	from.sentTo, x.changed = m, true
	x.requests.forget(from)
	x.moved(from, m)
	x.emit("failover_membership", map[string]any{"change": "reconnect", "upstream": from.Name, "to": m.Name})
	return nil
}
