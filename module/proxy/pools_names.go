// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// poolBase is what the pool is called as long as no other one begins alike.
func (f *Failover) poolBase() string {
	switch {
	case f.options.Pool != "":
		return f.options.Pool
	case len(f.uris) > 0:
		return f.uris[0].Dial()
	default:
		return "dynamic"
	}
}

// identity is by what the policy's pool is found again.
func (f *Failover) identity() poolstate.Identity {
	id := poolstate.Identity{Name: f.poolBase(), Named: f.options.Pool != ""}
	list := make([]string, 0, len(f.uris))
	for _, u := range f.uris {
		id.Addresses = append(id.Addresses, u.Name())
		list = append(list, u.String())
	}
	if f.options.PriorityBackup {
		for _, u := range f.options.PriorityURIs { // those that are in no list join it
			id.Addresses = append(id.Addresses, u.Name())
		}
	}
	all, err := json.Marshal([]any{list, f.options.Settings(), f.dynamicSource})
	if err != nil { // settings are plain values
		all = fmt.Append(nil, list, f.options, f.dynamicSource)
	}
	id.Digest = poolstate.Digest(string(all))
	return id
}

// identity is that of the configuration in effect, or of the only one. The entry has
// a claim at least, as all in the registry have.
func (e *poolEntry) identity() poolstate.Identity {
	w := e.winner()
	if w == nil {
		w = e.claims[0]
	}
	id := w.identity
	id.Name = e.name
	return id
}

func identities(list []*poolEntry) []poolstate.Identity {
	ids := make([]poolstate.Identity, 0, len(list))
	for _, e := range list {
		ids = append(ids, e.identity())
	}
	return ids
}
