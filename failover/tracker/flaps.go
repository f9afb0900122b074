// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// flapSpan is how long a member must not be lost to count as steady.
	flapSpan = time.Minute
	// FlapsFrom is from which loss on a member flaps.
	FlapsFrom = 3
)

// Flaps follows the losses of a member that were told, and its returns. It counts the losses
// that follow each other within a minute. The zero value is that of a member that is there.
type Flaps struct {
	count int
	last  time.Time
	away  time.Time // since when it is, as was told; zero when it is not, or was told as back
}

// Restored notes that an earlier process has told the loss.
func (f *Flaps) Restored(since time.Time) { f.away = since }

// Away reports whether the member was told as lost, and not as back since.
func (f *Flaps) Away() bool { return !f.away.IsZero() }

// Back notes that the member is told as back, which it is since then at the latest, and
// returns for how long it was away.
func (f *Flaps) Back(since time.Time) time.Duration {
	away := max(0, since.Sub(f.away))
	f.away = time.Time{}
	return away
}

// Lost counts a loss, and returns which one in a row it is. What is away already is not lost
// once more.
func (f *Flaps) Lost(now time.Time) int {
	if f.Away() {
		return f.count
	}
	f.away = now
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
	losses, f.count = f.count, 0
	return losses
}
