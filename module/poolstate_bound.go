// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// maxPoolsReport bounds a report of the pools' state, in bytes: the parent keeps it in
// memory, and takes no larger message than [control.MaxReport].
const maxPoolsReport = control.MaxReport / 2

// encode is the state as JSON of at most limit bytes, and what was left out for that.
// What experience taught is given up first, what costs least to learn again before the
// rest: clients that were moved, then why backends are down, then which are, then what
// sources of addresses said. The operator's decisions stay.
func (s poolsState) encode(limit int) (data []byte, left string, err error) {
	s.Pools = slices.Clone(s.Pools)
	for _, step := range []struct {
		left string
		drop func()
	}{
		{"", func() {}},
		{"clients that were moved", func() { s.thin(len(data), limit) }},
		{"also why backends are down", func() {
			s.each(func(p *poolState) {
				p.Down = slices.Clone(p.Down)
				for i := range p.Down {
					p.Down[i].Error = ""
				}
			})
		}},
		{"also which backends are down", func() { s.each(func(p *poolState) { p.Down = nil }) }},
		{"also what sources of addresses said", func() {
			s.each(func(p *poolState) { p.Sources, p.Dynamic, p.Unproved = nil, nil, nil })
		}},
	} {
		step.drop()
		left = step.left
		if data, err = json.Marshal(s); err != nil || len(data) <= limit {
			return data, left, err
		}
	}
	return nil, left, fmt.Errorf("reporting the state of %d pools: %w: %d bytes, the limit is %d", len(s.Pools), control.ErrTooLarge, len(data), limit)
}

func (s poolsState) each(f func(*poolState)) {
	for i := range s.Pools {
		f(&s.Pools[i])
	}
}

// thin keeps such a share of the clients that were moved, the same in every pool, that
// a state of size bytes fits into limit; none if that is not enough.
func (s poolsState) thin(size, limit int) {
	const keyBytes = 8
	keys := 0
	s.each(func(p *poolState) {
		for _, k := range p.Moved {
			keys += len(k) / keyBytes
		}
	})
	if keys == 0 {
		return
	}
	// Base64 writes four bytes for three; a little more goes, for its padding.
	surplus := (size-limit)*3/4/keyBytes + 2*keys/100 + 1
	keep := max(0, keys-surplus)
	s.each(func(p *poolState) {
		kept := make(map[string][]byte, len(p.Moved))
		for name, k := range p.Moved {
			if n := len(k) / keyBytes * keep / keys; n > 0 {
				kept[name] = k[:n*keyBytes]
			}
		}
		p.Moved = kept
	})
}
