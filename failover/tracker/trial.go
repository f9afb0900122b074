// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"sync/atomic"
	"time"
)

const (
	// TrialTime is how long a trial keeps others from trying: a client may make its request
	// take as long as it likes, and one that was lost is repeated by a ping, before
	// the next client is asked.
	TrialTime = time.Second
	// TrialPause is how long a client that had a trial has to leave the next ones to other clients.
	TrialPause = 4 * time.Second
)

// Slot lets one request at a time try a member that came back. It is for many
// goroutines; the zero value is free.
type Slot struct{ state atomic.Uint64 }

// What the state of a slot is made of: whether it is taken, by whom it was taken
// last, and when, in milliseconds.
const (
	slotTaken   = 1 << 63
	slotClients = 1<<31 - 1
)

// Take takes the slot for a request of that client, 0 for one that is not known. at
// is the time since the pool was made. It returns 0 when the slot is not to be had,
// and otherwise what gives it back.
func (s *Slot) Take(at time.Duration, client uint32) (ticket uint32) {
	now := uint32(at.Milliseconds()) | 1 // never 0
	for {
		old := s.state.Load()
		age := time.Duration(now-uint32(old)) * time.Millisecond
		switch by := uint32(old>>32) & slotClients; {
		case old&slotTaken != 0 && age < TrialTime:
			return 0
		case old != 0 && client != 0 && by == client&slotClients && age < TrialPause:
			return 0
		}
		if s.state.CompareAndSwap(old, slotTaken|uint64(client&slotClients)<<32|uint64(now)) {
			return now
		}
	}
}

// Leave gives the slot back, unless another one has it by now.
func (s *Slot) Leave(ticket uint32) {
	if old := s.state.Load(); old&slotTaken != 0 && uint32(old) == ticket {
		s.state.CompareAndSwap(old, old&^slotTaken)
	}
}
