// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// failback decides when a priority member that came back is home again: at
// least three pings in a row over failback_delay, answered by something that
// works, and then one request likewise. A server that opened its port but is
// still deploying is not home.
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

// fit tells whether a status is that of a server at work.
func fit(status int) bool { return status != 502 && status != 503 && status != 504 }

// begin starts the proof anew.
func (f *failback) begin(now time.Time) { f.good, f.ready, f.trial = 0, false, now }

// need is the time that the pings have to span.
func (f *failback) need(x *machine) time.Duration { return max(f.delay, x.opt.FailbackDelay) }

// pace is the wait between two of those pings.
func (f *failback) pace(x *machine) time.Duration {
	p := max(f.need(x)/(failbackPings-1), minDelay)
	if f.ready {
		return max(p, time.Second)
	}
	return p
}

// pinged counts one answered ping. It tells whether that changed anything.
func (f *failback) pinged(status int, x *machine) bool {
	was := f.ready
	if !fit(status) {
		f.begin(x.now)
		return was
	}
	if f.good == 0 {
		f.from = x.now
	}
	f.good++
	if !f.ready && f.good >= failbackPings && x.now.Sub(f.from) >= f.need(x) {
		f.ready, f.trial = true, x.now
	}
	return f.ready != was
}

// done notes that the member is home.
func (f *failback) done(now time.Time) { f.homeAt = now }

// lost notes that the member is lost. Within a minute after it came home its
// delay doubles.
func (f *failback) lost(m *Member, x *machine) {
	switch {
	case f.homeAt.IsZero() || m.state != stateUp && m.state != stateSuspect:
	case x.now.Sub(f.homeAt) >= failbackCalm:
		f.delay = 0
	default:
		f.delay = min(max(2*f.need(x), minDelay), max(x.opt.MaxReconnectDelay, x.opt.FailbackDelay))
	}
}

// held tells whether a priority member that came back is kept back until it is
// home: only while there is another one to serve.
func (x *machine) held(m *Member) bool {
	if m.state != stateTrial || m.rank < 0 || !x.opt.PriorityBackup {
		return false
	}
	for _, o := range x.members {
		if o != m && o.serves() && o.state != stateTrial {
			return true
		}
	}
	return false
}

// away tells whether clients are away from a priority member that is not there.
func (x *machine) away() bool {
	if !x.opt.PriorityBackup {
		return false
	}
	missing, others := false, false
	for _, m := range x.members {
		switch {
		case m.drained || m.unproved:
		case m.rank >= 0 && (m.state == stateDown || m.state == stateTrial):
			missing = true
		case m.state != stateDown:
			others = true
		}
	}
	return missing && others
}
