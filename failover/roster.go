// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// roster is the list of a pool: who is a member, and on whose word. An address is a
// member because it is configured, because the operator added it, because the
// dynamic source named it lately, or because another source names it; the first of
// these that holds counts.
//
// Invariants: no two members have the same key; no member is in removed, unless
// nothing else would be left; dynamic and sourced members are pushed, never both.
type roster struct {
	pool    string                               // its name, for errors
	members []*Member                            // in list order, with those that are drained or not proved
	left    []*Member                            // no members any more; some have requests in progress
	drains  map[string]string                    // addresses, by name, that an operator drained, members or not, and who it was
	removed []address.URI                        // removed by the operator at run time: they stay away
	dynamic bool                                 // the configuration has a dynamic source
	said    map[string]membership.SourceSnapshot // what sources say, for the next process
	serials uint64                               // the serial of the newest member
}

// find is the member with that key, or nil.
func (l *roster) find(u address.URI) *Member {
	key := u.Key()
	for _, m := range l.members {
		if m.Name == key {
			return m
		}
	}
	return nil
}

// known is the member with that address; without a scheme the dial address decides.
func (l *roster) known(u address.URI) (*Member, error) {
	if m := l.find(u); m != nil {
		return m, nil
	}
	e := &UnknownError{Pool: l.pool, URI: u.Name()}
	for _, m := range l.members {
		if u.Scheme == "" && m.URI.Dial() == u.Dial() {
			return m, nil
		}
		e.Known = append(e.Known, m.Name)
	}
	return nil, e
}

// wanted are the addresses of a configuration without those that the operator
// removed at run time, each once, and with the priority addresses that are in no
// list.
func (l *roster) wanted(configured, priority []address.URI) (uris []address.URI) {
	seen := make(map[string]bool, len(configured))
	for _, u := range l.removed {
		seen[u.Key()] = true
	}
	add := func(list []address.URI) {
		for _, u := range list {
			if key := u.Key(); !seen[key] {
				seen[key] = true
				uris = append(uris, u)
			}
		}
	}
	add(configured)
	add(priority)
	if len(uris) == 0 {
		clear(seen) // a pool never ends up without addresses
		add(configured)
	}
	return uris
}

// rank numbers the priority members of the options, if there are any: those the user named, in that order, or
// the first of the list.
func (l *roster) rank(o address.Options) {
	for _, m := range l.members {
		m.rank = -1
	}
	if !o.PriorityBackup {
		return
	}
	if len(o.PriorityURIs) == 0 {
		if len(l.members) > 0 {
			l.members[0].rank = 0
		}
		return
	}
	for i, u := range o.PriorityURIs {
		if m := l.find(u); m != nil && m.rank < 0 {
			m.rank = i
		}
	}
}

// discovered are the addresses of a list without those that the operator removed;
// all of them when the pool would have none.
func (l *roster) discovered(uris []address.URI) []address.URI {
	left := slices.DeleteFunc(slices.Clone(uris), func(u address.URI) bool {
		return slices.ContainsFunc(l.removed, func(r address.URI) bool { return r.Key() == u.Key() })
	})
	if len(left) == 0 && len(l.members) == 0 {
		return uris
	}
	return left
}

// handOver gives a member that the dynamic source names no more to the other
// sources, and reports whether one of them names it.
func (l *roster) handOver(m *Member) bool {
	for _, n := range membership.Restore(l.said).Named() {
		if n.URI.Key() == m.Name {
			m.dynamic, m.sourced, m.restricted = false, true, !n.Trusted
			return true
		}
	}
	return false
}
