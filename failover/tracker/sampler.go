// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// SamplePeriod is how often the counters of the request path are looked at
	// while there are requests. It is also the length of a dial slot.
	SamplePeriod    = 100 * time.Millisecond
	minSamplePeriod = 10 * time.Millisecond
)

// Sampler looks at the counters of the request path, so that requests need not
// tell the machine anything while all is well. It sleeps while there are none.
//
// Invariants: while it is Awake Next is set; Tick grows by one in each
// SamplePeriod at most, so that dials are counted in slots of that length.
type Sampler struct {
	Awake  bool          // there are requests, or were at the last sample
	period time.Duration // between two samples
	Next   time.Time     // when the next sample is due
	slotAt time.Time     // when the current dial slot began
	Tick   uint32        // counts the dial slots
	Served uint64        // attempts that had ended at the last sample
	Moved  bool          // exceptions of clients changed since the last sample
}

// Configure fits the period to the shortest maxInactivityDuration; 0 for none.
func (s *Sampler) Configure(shortest time.Duration) {
	s.period = SamplePeriod
	if shortest > 0 {
		s.period = max(min(s.period, shortest/20), minSamplePeriod)
	}
}

// Wake says that there is a request again.
func (s *Sampler) Wake(now time.Time) {
	if !s.Awake {
		s.Awake, s.Next, s.slotAt = true, now.Add(s.period), now
	}
}

// Due reports whether it is time for a sample, and plans the next one.
func (s *Sampler) Due(now time.Time) bool {
	if !s.Awake || now.Before(s.Next) {
		return false
	}
	s.Next = now.Add(s.period)
	return true
}

// Turn begins a new dial slot, if the present one is over. It reports whether it did.
func (s *Sampler) Turn(now time.Time) bool {
	if now.Sub(s.slotAt) < SamplePeriod {
		return false
	}
	s.slotAt = now
	s.Tick++
	return true
}
