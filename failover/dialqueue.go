// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// DialWidth is how many dials may be pending at one backend, pings apart: with
	// those there are 16 at most, which is as many as a host that drops packets
	// shall hold.
	DialWidth = 14
	// dialMemory is for how long connections that were made are a reason to
	// allow more than DialWidth.
	dialMemory = time.Second
)

// DialQueue lets so many dial one backend at a time, whichever handler they come
// through; the others wait in order of arrival. A backend that answers gets more: while the width is made use
// of, every connection made adds one, so that it doubles with each round trip. A
// dial that fails, and a second without a connection, bring it back to DialWidth.
type DialQueue struct {
	mu      sync.Mutex
	pending int
	extra   int       // what is allowed beyond DialWidth
	made    time.Time // the last connection
	waiting []chan struct{}
}

// Enter waits for a place. Each one that was given is given back by Leave.
func (q *DialQueue) Enter(ctx context.Context) error {
	q.mu.Lock()
	if time.Since(q.made) > dialMemory {
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

// Leave gives the place back. made tells that there is a connection.
func (q *DialQueue) Leave(made bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !made:
		q.extra = 0
	case 2*q.pending >= DialWidth+q.extra:
		q.extra++
		fallthrough
	default:
		q.made = time.Now()
	}
	q.pending--
	q.admit()
}

// admit gives the free places to those who wait. q.mu is held.
func (q *DialQueue) admit() {
	n := min(len(q.waiting), max(DialWidth+q.extra-q.pending, 0))
	for _, turn := range q.waiting[:n] {
		close(turn)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.pending += n
}
