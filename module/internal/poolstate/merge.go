// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"cmp"
	"slices"
)

// Successors finds for each pool of an old configuration the one of the new
// configuration that its state goes on in, -1 where there is none. No two go on in
// the same.
//
// A pool that the user named goes on in its namesake. Any other one goes on in the
// pool that asks for exactly the same, else in that with which it shares most
// addresses and that no namesake goes on in. Where several share as many, the name
// decides; where it does not, the state has no place rather than a wrong one. The
// order of the pools is of no account.
func Successors(old, next []Identity) []int {
	to := make([]int, len(old))
	taken := make([]bool, len(next))
	assign := func(i, k int) { to[i], taken[k] = k, true }
	for i, o := range old {
		to[i] = -1
		if k := slices.IndexFunc(next, func(n Identity) bool { return o.Named && n.Named && n.Name == o.Name }); k >= 0 {
			assign(i, k)
		}
	}
	for i, o := range old {
		k := slices.IndexFunc(next, func(n Identity) bool { return !n.Named && n.Digest == o.Digest })
		if !o.Named && k >= 0 && !taken[k] {
			assign(i, k)
		}
	}
	wants := make([]candidatePool, 0, len(old))
	for i, o := range old {
		if !o.Named && to[i] < 0 {
			if c, ok := closest(o, next, taken); ok {
				c.old = i
				wants = append(wants, c)
			}
		}
	}
	slices.SortFunc(wants, func(a, b candidatePool) int {
		return cmp.Or(-cmp.Compare(a.shared, b.shared), compareBool(b.sameName, a.sameName),
			cmp.Compare(old[a.old].Name, old[b.old].Name))
	})
	for _, c := range wants {
		if !taken[c.next] {
			assign(c.old, c.next)
		}
	}
	return to
}

// candidatePool is the pool of the new configuration that an old one would go on in.
type candidatePool struct {
	old, next, shared int
	sameName          bool
}

// closest is the pool that shares most addresses with o, if that is one.
func closest(o Identity, next []Identity, taken []bool) (best candidatePool, ok bool) {
	for k, n := range next {
		c := candidatePool{next: k, shared: shared(o.Addresses, n.Addresses), sameName: n.Name == o.Name}
		if taken[k] || c.shared == 0 {
			continue
		}
		switch by := cmp.Or(cmp.Compare(c.shared, best.shared), compareBool(c.sameName, best.sameName)); {
		case by > 0:
			best, ok = c, true
		case by == 0:
			ok = false
		}
	}
	return best, ok
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// shared counts the addresses that two lists have in common.
func shared(a, b []string) (n int) {
	for _, address := range a {
		if slices.Contains(b, address) {
			n++
		}
	}
	return n
}

// Lost is a decision of the operator that has no place any more.
type Lost struct {
	Pool     string // "" for all
	Decision string // drain, resume, failover, added address, removed address
	Upstream string
}

// Merge is what pools of a new configuration start with: for each the state that
// goes on in it, nil for none, the decisions about addresses that some pool has,
// and what has no place any more.
func (s State) Merge(next []Identity) (states []*Pool, kept Drains, lost []Lost) {
	old := make([]Identity, len(s.Pools))
	for i, p := range s.Pools {
		old[i] = p.Identity
	}
	states = make([]*Pool, len(next))
	for i, k := range Successors(old, next) {
		p := &s.Pools[i]
		if k < 0 {
			lost = append(lost, p.Decisions()...)
			continue
		}
		states[k] = p
		if p.Failover != "" && !slices.Contains(next[k].Addresses, p.Failover) && !slices.Contains(p.Joined(), p.Failover) {
			lost = append(lost, Lost{p.Name, "failover", p.Failover})
		}
	}
	kept, gone := s.Drains.Place(func(scope, address string) bool {
		for k, n := range next {
			if (scope == "" || scope == n.Scope()) &&
				(slices.Contains(n.Addresses, address) || states[k] != nil && slices.Contains(states[k].Joined(), address)) {
				return true
			}
		}
		return false
	})
	for _, d := range gone {
		lost = append(lost, d.Lost())
	}
	return states, kept, lost
}

// Lost is what is said of a drain that has no place any more.
func (d Drain) Lost() Lost {
	decision := "drain"
	if d.Serves {
		decision = "resume"
	}
	return Lost{d.Pool, decision, d.Address}
}

// Decisions are those of the operator about the pool itself.
func (p *Pool) Decisions() (list []Lost) {
	if p.Failover != "" {
		list = append(list, Lost{p.Name, "failover", p.Failover})
	}
	for _, u := range p.Added {
		list = append(list, Lost{p.Name, "added address", u.Name()})
	}
	for _, u := range p.Removed {
		list = append(list, Lost{p.Name, "removed address", u.Name()})
	}
	return list
}
