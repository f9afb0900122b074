// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// dynamicFor is how long an address stays that the dynamic source names no more:
// its lists may differ from one request to the next.
const dynamicFor = 10 * time.Minute

// Discover makes the addresses that the configuration's dynamic source names now
// members, and forgets those that only it had named and has not named for ten
// minutes. Configured addresses and the operator's own stay what they are, and what
// the operator removed stays away while anything else is left. Nothing happens
// while the configuration in effect has no such source. It returns how many came
// and went; on an error nothing changed.
func (p *Pool) Discover(uris []address.URI) (added, removed int, err error) {
	err = p.do(func(x *machine) error {
		if !x.dynamic {
			return nil
		}
		if err := x.schemesFit(uris); err != nil {
			return err
		}
		for _, u := range x.discovered(uris) {
			m := x.find(u)
			if m == nil {
				m = x.add(u)
				m.dynamic = true
				added++
			}
			if m.sourced {
				m.sourced, m.dynamic = false, true
				m.restricted.Store(false)
			}
			m.named = x.now
		}
		for _, m := range slices.Clone(x.members) {
			if m.dynamic && x.now.Sub(m.named) >= dynamicFor && len(x.members) > 1 && !x.handOver(m) {
				x.unlist(m)
				removed++
			}
		}
		if added+removed > 0 {
			x.rank()
			x.sampler.configure(x.members)
		}
		if added > 0 {
			x.passSoon()
		}
		return nil
	})
	return added, removed, err
}

// discovered are the addresses of a list without those that the operator removed;
// all of them when the pool would have none.
func (x *machine) discovered(uris []address.URI) []address.URI {
	left := slices.DeleteFunc(slices.Clone(uris), func(u address.URI) bool {
		return slices.ContainsFunc(x.removed, func(r address.URI) bool { return r.Key() == u.Key() })
	})
	if len(left) == 0 && len(x.members) == 0 {
		return uris
	}
	return left
}

// handOver gives a member that the dynamic source names no more to the other
// sources, and tells whether one of them names it.
func (x *machine) handOver(m *Member) bool {
	for _, n := range membership.Restore(x.said).Named() {
		if n.URI.Key() == m.Name {
			m.dynamic, m.sourced = false, true
			m.restricted.Store(!n.Trusted)
			return true
		}
	}
	return false
}
