// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"cmp"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover"
)

// poolsState is what the operator and experience taught all pools of a broker. It
// is a plain value for encoding/json: the process that serves reports it, the
// parent keeps it, and the next process that serves starts from it.
type poolsState struct {
	// Drains are the operator's decisions about addresses.
	Drains drains `json:"drains,omitempty"`
	// Pools are what belongs to single pools.
	Pools []poolState `json:"pools,omitempty"`
}

// poolState is what one pool has learnt.
type poolState struct {
	poolIdentity
	failover.Snapshot
}

// poolIdentity is by what a pool is found again in another configuration.
type poolIdentity struct {
	Name string `json:"name"`
	// Named reports whether the user gave the name.
	Named bool `json:"named,omitempty"`
	// Addresses are the names of the configured ones, in order.
	Addresses []string `json:"addresses,omitempty"`
	// Digest is that of the list with its options, the pool's options and the
	// dynamic source.
	Digest string `json:"digest"`
}

// scope is the name under which decisions are kept that are for this pool alone:
// only a name of the user's says which pool that is in the next configuration.
func (p poolIdentity) scope() string {
	if p.Named {
		return p.Name
	}
	return ""
}

// drain is one decision of the operator about an address.
type drain struct {
	// Address is the name of the backend.
	Address string `json:"address"`
	// Pool is the named pool that the decision is for, "" for all.
	Pool string `json:"pool,omitempty"`
	// Serves is the decision that an address which is drained elsewhere serves in
	// this pool.
	Serves bool `json:"serves,omitempty"`
}

// drains are decisions, at most one for each address and pool, in order. The
// value is immutable. What is decided for a pool wins over what is for all.
type drains []drain

// decide returns the decisions after one more. One for all pools replaces those
// that single pools had about the address.
func (d drains) decide(pool, address string, drained bool) drains {
	next := slices.DeleteFunc(slices.Clone(d), func(o drain) bool {
		return o.Address == address && (pool == "" || o.Pool == pool)
	})
	if drained != next.holds(pool, address) {
		next = append(next, drain{Address: address, Pool: pool, Serves: !drained})
	}
	slices.SortFunc(next, func(a, b drain) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Pool, b.Pool))
	})
	return next
}

// holds reports whether the address is drained in a pool of that scope.
func (d drains) holds(scope, address string) bool {
	drained := false
	for _, o := range d {
		switch {
		case o.Address != address:
		case o.Pool == "":
			drained = true
		case o.Pool == scope:
			return !o.Serves
		}
	}
	return drained
}

// in lists the addresses that are drained in a pool of that scope.
func (d drains) in(scope string) []string {
	var list []string
	for _, o := range d {
		if (o.Pool == "" || o.Pool == scope) && d.holds(scope, o.Address) {
			list = append(list, o.Address)
		}
	}
	return slices.Compact(list)
}

// place returns the decisions without those that no pool has a place for, and
// those. has reports whether a pool of that scope has the address; the scope ""
// is for any pool.
func (d drains) place(has func(scope, address string) bool) (kept, lost drains) {
	for _, o := range d {
		if has(o.Pool, o.Address) {
			kept = append(kept, o)
		} else {
			lost = append(lost, o)
		}
	}
	return kept, lost
}
