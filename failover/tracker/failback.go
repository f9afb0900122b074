// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

// Failback decides when a priority member that came back is home again: at
// least three pings in a row over failback_delay, answered by something that
// works, and then one request likewise. A server that opened its port but is
// still deploying is not home. least is the option failback_delay throughout.
//
// Invariants: Ready implies good ≥ failbackPings, and an unfit answer takes both
// away; delay is 0 or longer than it was at the loss before, and no longer than
// Lost allows.
type Failback struct {
	good   int           // fit answers in a row
	from   time.Time     // of the first of them
	Trial  time.Time     // since when it looks for a request
	Ready  bool          // the pings are enough
	delay  time.Duration // in effect; 0 for the option's
	homeAt time.Time     // when it came home last
}

const (
	failbackPings = 3
	// failbackCalm is how long a member must stay to lose its bad name.
	failbackCalm = time.Minute
)

// Fit reports whether a status is that of a server at work.
func Fit(status int) bool { return status != 502 && status != 503 && status != 504 }

// Begin starts the proof anew.
func (f *Failback) Begin(now time.Time) { f.good, f.Ready, f.Trial = 0, false, now }

// Need is the time that the pings have to span.
func (f *Failback) Need(least time.Duration) time.Duration { return max(f.delay, least) }

// Pace is the wait between two of those pings.
func (f *Failback) Pace(least time.Duration) time.Duration {
	p := max(f.Need(least)/(failbackPings-1), MinDelay)
	if f.Ready {
		return max(p, time.Second)
	}
	return p
}

// Pinged counts one answered ping. It reports whether that changed anything.
func (f *Failback) Pinged(now time.Time, status int, least time.Duration) bool {
	was := f.Ready
	if !Fit(status) {
		f.Begin(now)
		return was
	}
	if f.good == 0 {
		f.from = now
	}
	f.good++
	if !f.Ready && f.good >= failbackPings && now.Sub(f.from) >= f.Need(least) {
		f.Ready, f.Trial = true, now
	}
	return f.Ready != was
}

// Done notes that the member is home.
func (f *Failback) Done(now time.Time) { f.homeAt = now }

// Lost notes that the member is lost after it was home. Within a minute after it
// came home its delay doubles, up to most.
func (f *Failback) Lost(now time.Time, least, most time.Duration) {
	switch {
	case f.homeAt.IsZero():
	case now.Sub(f.homeAt) >= failbackCalm:
		f.delay = 0
	default:
		f.delay = min(max(2*f.Need(least), MinDelay), max(most, least))
	}
}
