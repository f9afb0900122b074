// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

const (
	// samplePeriod is how often the counters of the request path are looked at
	// while there are requests. It is also the length of a dial slot.
	samplePeriod    = 100 * time.Millisecond
	minSamplePeriod = 10 * time.Millisecond
)

// sampler looks at the counters of the request path, so that requests need not
// tell the machine anything while all is well. It sleeps while there are none.
//
// Invariants: while it is awake next is set; tick grows by one in each
// samplePeriod at most, so that dials are counted in slots of that length.
type sampler struct {
	awake  bool          // there are requests, or were at the last sample
	period time.Duration // between two samples
	next   time.Time     // when the next sample is due
	slotAt time.Time     // when the current dial slot began
	tick   uint32        // counts the dial slots
	served uint64        // attempts that had ended at the last sample
	moved  bool          // exceptions of clients changed since the last sample
}

// configure fits the period to the shortest maxInactivityDuration.
func (s *sampler) configure(members []*Member) {
	s.period = samplePeriod
	for _, m := range members {
		if d := m.limits.MaxInactivityDuration; d > 0 {
			s.period = max(min(s.period, d/20), minSamplePeriod)
		}
	}
}

func (s *sampler) wake(now time.Time) {
	if !s.awake {
		s.awake, s.next, s.slotAt = true, now.Add(s.period), now
	}
}

// due reports whether it is time for a sample, and plans the next one.
func (s *sampler) due(now time.Time) bool {
	if !s.awake || now.Before(s.next) {
		return false
	}
	s.next = now.Add(s.period)
	return true
}

// turn begins a new dial slot, if the present one is over. It reports whether it did.
func (s *sampler) turn(now time.Time) bool {
	if now.Sub(s.slotAt) < samplePeriod {
		return false
	}
	s.slotAt = now
	s.tick++
	return true
}
