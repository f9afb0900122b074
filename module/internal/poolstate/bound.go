// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ErrTooLarge says that even the decisions of operators alone exceed a limit.
var ErrTooLarge = errors.New("the state is too large")

// Encode is the state as JSON of at most limit bytes, and what was left out for that.
// What experience taught is given up first, what costs least to learn again before the
// rest: clients that were moved, then why backends are down, then which are, then what
// sources of addresses said. The operator's decisions stay.
func (s State) Encode(limit int) (data []byte, left string, err error) {
	s.Pools = slices.Clone(s.Pools)
	for _, step := range []struct {
		left string
		drop func()
	}{
		{"", func() {}},
		{"clients that were moved", func() { s.thin(len(data), limit) }},
		{"also why backends are down", func() {
			s.each(func(p *Pool) {
				p.Down = slices.Clone(p.Down)
				for i := range p.Down {
					p.Down[i].Error = ""
				}
			})
		}},
		{"also which backends are down", func() { s.each(func(p *Pool) { p.Down = nil }) }},
		{"also what sources of addresses said", func() {
			s.each(func(p *Pool) { p.Sources, p.Dynamic, p.Unproved = nil, nil, nil })
		}},
	} {
		step.drop()
		left = step.left
		if data, err = json.Marshal(s); err != nil || len(data) <= limit {
			return data, left, err
		}
	}
	return nil, left, fmt.Errorf("reporting the state of %d pools: %w: %d bytes, the limit is %d", len(s.Pools), ErrTooLarge, len(data), limit)
}

func (s State) each(f func(*Pool)) {
	for i := range s.Pools {
		f(&s.Pools[i])
	}
}

// thin keeps such a share of the clients that were moved, the same in every pool, that
// a state of size bytes fits into limit; none if that is not enough.
func (s State) thin(size, limit int) {
	const keyBytes = 8
	keys := 0
	s.each(func(p *Pool) {
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
	s.each(func(p *Pool) {
		kept := make(map[string][]byte, len(p.Moved))
		for name, k := range p.Moved {
			if n := len(k) / keyBytes * keep / keys; n > 0 {
				kept[name] = k[:n*keyBytes]
			}
		}
		p.Moved = kept
	})
}
