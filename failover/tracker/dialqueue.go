// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// DialWidth is how many dials may be pending at one backend, pings apart: with
	// those there are 16 at most, which is as many as a host that drops packets
	// shall hold.
	DialWidth = 14
	// dialMemory is for how long a connection that was made is a reason to allow
	// more than DialWidth, in the time it took to make it, and dialMemoryMax at
	// most. Where connections are made fast, forgetting soon costs nothing, and
	// few dials have gone out when a backend begins to drop packets.
	dialMemory    = 8
	dialMemoryMax = time.Second
)

// DialQueue lets so many dial one backend at a time, whichever handler they come
// through; the others wait in order of arrival. A backend that answers gets more:
// while the width is made use of, every connection made adds one, so that it
// doubles with each round trip. A dial that fails, and eight times as long without
// a connection as the last one took, bring it back to DialWidth. The zero value is
// ready.
type DialQueue struct {
	mu      lockorder.Mutex[DialQueue]
	pending int
	extra   int       // what is allowed beyond DialWidth
	until   time.Time // extra is allowed
	waiting []chan struct{}
}

// Enter waits for a place. Each one that was given is given back by Leave.
func (q *DialQueue) Enter(ctx context.Context) error {
	q.mu.Lock()
	if time.Now().After(q.until) {
		q.extra = 0
	}
	if len(q.waiting) == 0 && q.pending < DialWidth+q.extra {
		q.pending++
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, turn); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else {
		q.pending-- // the place came at the same moment
		q.admit()
	}
	return ctx.Err()
}

// Leave gives the place back. took is how long the connection took; 0 when there
// is none.
func (q *DialQueue) Leave(took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case took <= 0:
		q.extra = 0
	case 2*q.pending >= DialWidth+q.extra:
		q.extra++
		fallthrough
	default:
		q.until = time.Now().Add(min(dialMemory*took, dialMemoryMax))
	}
	q.pending--
	q.admit()
}

// admit gives the free places to the dials that wait. q.mu is held.
func (q *DialQueue) admit() {
	n := min(len(q.waiting), max(DialWidth+q.extra-q.pending, 0))
	for _, turn := range q.waiting[:n] {
		close(turn)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.pending += n
}
