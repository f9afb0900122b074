// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// flapSpan is how long a member must not be lost to count as steady.
	flapSpan = time.Minute
	// FlapsFrom is from which loss on a member flaps.
	FlapsFrom = 2
)

// Flaps counts the losses of a member that follow each other within a minute.
type Flaps struct {
	count int
	last  time.Time
}

// Lost counts a loss, and returns which one in a row it is.
func (f *Flaps) Lost(now time.Time) int {
	if now.Sub(f.last) >= flapSpan {
		f.count = 0
	}
	f.count++
	f.last = now
	return f.count
}

// Flapping reports whether the member has been lost again and again.
func (f *Flaps) Flapping() bool { return f.count >= FlapsFrom }

// Due is when it is steady, unless it is lost again; zero if it does not flap.
func (f *Flaps) Due() time.Time {
	if !f.Flapping() {
		return time.Time{}
	}
	return f.last.Add(flapSpan)
}

// Steady returns how often it was lost if it has flapped and does not any more; else 0.
func (f *Flaps) Steady(now time.Time) (losses int) {
	if due := f.Due(); due.IsZero() || now.Before(due) {
		return 0
	}
	losses = f.count
	*f = Flaps{}
	return losses
}
