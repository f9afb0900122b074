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

// EncodeHead is the pool without the clients that were moved, as JSON of at most limit
// bytes, and what was left out for that. What experience taught is given up first, what
// costs least to learn again before the rest: why backends are down, then which are,
// then what sources of addresses said. The operator's decisions stay.
func (p Pool) EncodeHead(limit int) (data []byte, left string, err error) {
	p.Moved = nil
	for _, step := range []struct {
		left string
		drop func()
	}{
		{"", func() {}},
		{"why backends are down", func() {
			p.Down = slices.Clone(p.Down)
			for i := range p.Down {
				p.Down[i].Error = ""
			}
		}},
		{"also which backends are down", func() { p.Down, p.Back = nil, nil }},
		{"also what sources of addresses said", func() { p.Sources, p.Dynamic, p.Unproved = nil, nil, nil }},
	} {
		step.drop()
		left = step.left
		if data, err = json.Marshal(p); err != nil || len(data) <= limit {
			return data, left, err
		}
	}
	return nil, left, fmt.Errorf("reporting the state of pool %q: %w: %d bytes, the limit is %d", p.Name, ErrTooLarge, len(data), limit)
}
