// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"cmp"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// State is what the operator and experience taught all pools of a broker. It
// is a plain value for encoding/json: the process that serves reports it, the
// parent keeps it, and the next process that serves starts from it.
type State struct {
	// Drains are the operator's decisions about addresses.
	Drains Drains `json:"drains,omitempty"`
	// Pools are what belongs to single pools.
	Pools []Pool `json:"pools,omitempty"`
}

// Pool is what one pool has learnt.
type Pool struct {
	Identity
	report.Snapshot
}

// Identity is by what a pool is found again in another configuration.
type Identity struct {
	Name string `json:"name"`
	// Named reports whether the user gave the name.
	Named bool `json:"named,omitempty"`
	// Addresses are the names of the configured ones, in order.
	Addresses []string `json:"addresses,omitempty"`
	// Digest is that of the list with its options, the pool's options and the
	// dynamic source.
	Digest string `json:"digest"`
}

// Scope is the name under which decisions are kept that are for this pool alone:
// only a name of the user's says which pool that is in the next configuration.
func (p Identity) Scope() string {
	if p.Named {
		return p.Name
	}
	return ""
}

// Drain is one decision of the operator about an address.
type Drain struct {
	// Address is the name of the backend.
	Address string `json:"address"`
	// Pool is the named pool that the decision is for, "" for all.
	Pool string `json:"pool,omitempty"`
	// Serves is the decision that an address which is drained elsewhere serves in
	// this pool.
	Serves bool `json:"serves,omitempty"`
	// Since and By are when and by whom it was decided; of an older version they are
	// not known.
	Since time.Time `json:"since,omitzero"`
	By    string    `json:"by,omitempty"`
}

// Drains are decisions, at most one for each address and pool, in order. The
// value is immutable. What is decided for a pool wins over what is for all.
type Drains []Drain

// Decide returns the decisions after one more, by someone at a time. One for all pools
// replaces those that single pools had about the address. One that is repeated
// stays with who made it first.
func (d Drains) Decide(pool, address string, drained bool, by string, at time.Time) Drains {
	decision := Drain{Address: address, Pool: pool, Serves: !drained, Since: at, By: by}
	for _, o := range d {
		if o.Address == address && o.Pool == pool && o.Serves == decision.Serves {
			decision = o
		}
	}
	next := slices.DeleteFunc(slices.Clone(d), func(o Drain) bool {
		return o.Address == address && (pool == "" || o.Pool == pool)
	})
	if drained != next.holds(pool, address) {
		next = append(next, decision)
	}
	slices.SortFunc(next, func(a, b Drain) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Pool, b.Pool))
	})
	return next
}

// holds reports whether the address is drained in a pool of that scope.
func (d Drains) holds(scope, address string) bool {
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

// Of is the decision by which the address is drained in a pool of that scope.
func (d Drains) Of(scope, address string) (by Drain, drained bool) {
	for _, o := range d {
		if o.Address == address && !o.Serves && (o.Pool == scope || o.Pool == "" && by.Address == "") {
			by = o
		}
	}
	return by, d.holds(scope, address)
}

// In has the addresses that are drained in a pool of that scope, and who drained them.
func (d Drains) In(scope string) map[string]string {
	in := make(map[string]string)
	for _, o := range d {
		if by, drained := d.Of(scope, o.Address); drained {
			in[o.Address] = by.By
		}
	}
	return in
}

// Place returns the decisions without those that no pool has a place for, and
// those. has reports whether a pool of that scope has the address; the scope ""
// is for any pool.
func (d Drains) Place(has func(scope, address string) bool) (kept, lost Drains) {
	for _, o := range d {
		if has(o.Pool, o.Address) {
			kept = append(kept, o)
		} else {
			lost = append(lost, o)
		}
	}
	return kept, lost
}
