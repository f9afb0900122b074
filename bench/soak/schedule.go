// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"math/rand/v2"
	"time"
)

// A fault lasts between these.
const (
	shortest = 500 * time.Millisecond
	longest  = 3 * time.Second
)

// schedule decides, by its seed alone, which fault comes next, how long it lasts
// and by which seed of its own it chooses whom it hits.
type schedule struct {
	rng   *rand.Rand
	count int
	round []int // the faults to come before any comes again
}

func newSchedule(seed uint64, count int) *schedule {
	return &schedule{rng: rand.New(rand.NewPCG(seed, 0)), count: count} //nolint:gosec // the seed repeats it
}

func (s *schedule) next() (fault int, length time.Duration, seed uint64) {
	if len(s.round) == 0 {
		s.round = s.rng.Perm(s.count)
	}
	fault, s.round = s.round[0], s.round[1:]
	length = shortest + time.Duration(s.rng.Int64N(int64(longest-shortest)))
	return fault, length.Round(time.Millisecond), s.rng.Uint64()
}
