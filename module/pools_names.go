// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// digestLength is how many digits of a digest a name has, more where they would
// not do.
const digestLength = 6

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
func (f *Failover) identity() poolIdentity {
	id := poolIdentity{Name: f.poolBase(), Named: f.options.Pool != ""}
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
	id.Digest = digest(string(all))
	return id
}

// identity is that of the configuration in effect, or of the only one.
func (e *poolEntry) identity() poolIdentity {
	w := e.winner()
	if w == nil {
		w = e.claims[0]
	}
	id := w.identity
	id.Name = e.name
	return id
}

func identities(list []*poolEntry) []poolIdentity {
	ids := make([]poolIdentity, 0, len(list))
	for _, e := range list {
		ids = append(ids, e.identity())
	}
	return ids
}

// namePools gives those of a configuration's pools that would have the same name a
// digest of their list. Where lists are equal too, the digest is of everything. Names
// that are fixed stay. Nothing depends on the order of the pools.
func namePools(ids []poolIdentity, fixed []bool) {
	alike := make(map[string]int)
	lists := make(map[string]int)
	list := func(id poolIdentity) string { return id.Name + "\n" + strings.Join(id.Addresses, "\n") }
	for i, id := range ids {
		alike[id.Name]++
		if !fixed[i] {
			lists[list(id)]++
		}
	}
	long := make([]string, len(ids)) // the digest, where the name needs it
	for i, id := range ids {
		switch {
		case fixed[i] || alike[id.Name] == 1:
		case lists[list(id)] == 1:
			long[i] = digest(list(id))
		default:
			long[i] = id.Digest
		}
	}
	for length := digestLength; ; length += 2 {
		names := make(map[string]bool, len(ids))
		name := func(i int) string {
			if long[i] == "" {
				return ids[i].Name
			}
			return ids[i].Name + "-" + long[i][:min(length, len(long[i]))]
		}
		for i := range ids {
			names[name(i)] = true
		}
		if len(names) < len(ids) && length < sha256.Size*2 {
			continue
		}
		for i := range ids {
			ids[i].Name = name(i)
		}
		return
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
