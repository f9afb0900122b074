// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// lossSpan and lossesLeast are for how long, and how often, a member has to lose the requests of several
	// clients, and to answer none: among those who only mean harm there is somebody who is served.
	lossSpan    = 250 * time.Millisecond
	lossesLeast = 3
	// lossSpanAlone and lossesAlone are how long, and how often, where there is one
	// client only: it may be a proxy, with many behind it.
	lossSpanAlone = 30 * time.Second
	lossesAlone   = 16
	// lossGap is the longest time between two losses that belong together.
	lossGap = 10 * time.Second
)

// Losses weighs the requests that a member lost although it answers pings. One
// client can make a backend end its connections as often as it likes, by whatever
// does that there, so its losses alone say nothing of the backend; those of several
// clients do, while nobody is answered.
//
// Invariants: count is 0 exactly in the zero value; others implies that client is
// not 0; first is not after last.
type Losses struct {
	client      uint32 // the first one that is known
	others      bool   // and there were other ones
	count       int
	first, last time.Time
	answered    uint64 // what the member had answered at the first
}

// Note counts the request of a client that was lost; client is 0 where it is not
// known whose fault that may be. answered is how many requests the member has
// answered by now. It reports whether the member is to be taken for lost.
func (l *Losses) Note(now time.Time, client uint32, answered uint64) bool {
	if answered != l.answered || now.Sub(l.last) > lossGap {
		*l = Losses{first: now, answered: answered}
	}
	l.count++
	l.last = now
	if l.client == 0 {
		l.client = client
	}
	l.others = l.others || client != 0 && client != l.client
	span := now.Sub(l.first)
	return l.others && l.count >= lossesLeast && span >= lossSpan || l.count >= lossesAlone && span >= lossSpanAlone
}
