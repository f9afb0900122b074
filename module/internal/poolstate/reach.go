// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// MustReach has for each pool of a new configuration that has to reach a backend the
// addresses at which one was reached before, and nothing for others. It has to if a pool
// goes on in it that reached one. Where such a pool goes on in none, a new pool with other
// addresses may stand in its place: then each of those has to.
func (s State) MustReach(next []Identity) [][]string {
	old := make([]Identity, len(s.Pools))
	for i := range s.Pools {
		old[i] = s.Pools[i].Identity
	}
	must, fresh := make([][]string, len(next)), make([]bool, len(next))
	for k := range fresh {
		fresh[k] = true
	}
	var gone []string
	for i, k := range Successors(old, next) {
		if k < 0 {
			gone = append(gone, s.reached(i)...)
			continue
		}
		fresh[k], must[k] = false, s.reached(i)
	}
	for k := range must {
		if fresh[k] {
			must[k] = gone
		}
	}
	return must
}

// reached are the addresses at which a pool reached backends when that was reported last.
func (s State) reached(i int) (names []string) {
	p := &s.Pools[i]
	if !p.Reached {
		return nil
	}
	drained := s.Drains.In(p.Scope())
	for _, name := range slices.Concat(p.Addresses, p.Joined()) {
		if _, rests := drained[name]; !rests && !slices.ContainsFunc(p.Down, func(d report.DownSnapshot) bool { return d.Name == name }) {
			names = append(names, name)
		}
	}
	return names
}
