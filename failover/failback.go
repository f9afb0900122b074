// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// failback decides when a priority member that came back is home again: at
// least three pings in a row over failback_delay, answered by something that
// works, and then one request likewise. A server that opened its port but is
// still deploying is not home. least is the option failback_delay throughout.
//
// Invariants: ready implies good ≥ failbackPings, and an unfit answer takes both
// away; delay is 0 or longer than it was at the loss before, and no longer than
// lost allows.
type failback struct {
	good   int           // fit answers in a row
	from   time.Time     // of the first of them
	trial  time.Time     // since when it looks for a request
	ready  bool          // the pings are enough
	delay  time.Duration // in effect; 0 for the option's
	homeAt time.Time     // when it came home last
}

const (
	failbackPings = 3
	// failbackCalm is how long a member must stay to lose its bad name.
	failbackCalm = time.Minute
)

// fit reports whether a status is that of a server at work.
func fit(status int) bool { return status != 502 && status != 503 && status != 504 }

// begin starts the proof anew.
func (f *failback) begin(now time.Time) { f.good, f.ready, f.trial = 0, false, now }

// need is the time that the pings have to span.
func (f *failback) need(least time.Duration) time.Duration { return max(f.delay, least) }

// pace is the wait between two of those pings.
func (f *failback) pace(least time.Duration) time.Duration {
	p := max(f.need(least)/(failbackPings-1), minDelay)
	if f.ready {
		return max(p, time.Second)
	}
	return p
}

// pinged counts one answered ping. It reports whether that changed anything.
func (f *failback) pinged(now time.Time, status int, least time.Duration) bool {
	was := f.ready
	if !fit(status) {
		f.begin(now)
		return was
	}
	if f.good == 0 {
		f.from = now
	}
	f.good++
	if !f.ready && f.good >= failbackPings && now.Sub(f.from) >= f.need(least) {
		f.ready, f.trial = true, now
	}
	return f.ready != was
}

// done notes that the member is home.
func (f *failback) done(now time.Time) { f.homeAt = now }

// lost notes that the member is lost after it was home. Within a minute after it
// came home its delay doubles, up to most.
func (f *failback) lost(now time.Time, least, most time.Duration) {
	switch {
	case f.homeAt.IsZero():
	case now.Sub(f.homeAt) >= failbackCalm:
		f.delay = 0
	default:
		f.delay = min(max(2*f.need(least), minDelay), max(most, least))
	}
}
