// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"time"
)

const (
	// passTime bounds a pass: what has not answered by then has failed it, and
	// may still answer later.
	passTime = time.Second
	// warnEvery is the shortest time between two warnings about failed passes.
	warnEvery = 10 * time.Second
	// askedFor is how long a request counts as somebody who cares.
	askedFor = 10 * time.Second
)

// worker is the pool's reconnecting: while no member serves, it makes passes
// over all of them.
//
//	serving ──last member lost──► waiting ──delay over──► pass ──an answer──► serving
//	                                 ▲                      │
//	                                 └──────no answer───────┘
//
// A pool begins in its first pass. The worker never gives up; "exhausted" only
// says what requests get meanwhile.
type worker struct {
	active    bool
	running   bool      // in a pass
	started   time.Time // of the last pass
	step      int       // passes and losses since a request was last answered
	failed    int       // failed passes in a row
	base      time.Time // the wait is counted from here
	delay     time.Duration
	exhausted bool
	warned    time.Time
}

// online tells whether a member serves that has been seen. Configured members
// are eligible before, but prove nothing.
func (x *machine) online() bool {
	for _, m := range x.members {
		if m.serves() && m.seen {
			return true
		}
	}
	return false
}

// limit is how many failed passes in a row the pool allows; -1 for no limit.
func (x *machine) limit() int {
	if !x.reached {
		n := x.opt.MaxReconnectAttempts
		if x.opt.StartupMaxReconnectAttemptsSet {
			n = x.opt.StartupMaxReconnectAttempts
		}
		if n == 0 {
			return 1
		}
		return n
	}
	return x.opt.MaxReconnectAttempts
}

// noFailover tells whether a request gets one member only: max_reconnect_attempts
// is 0, and no start-up limit says otherwise.
func (x *machine) noFailover() bool {
	return x.opt.MaxReconnectAttempts == 0 && (x.reached || !x.opt.StartupMaxReconnectAttemptsSet)
}

// work moves the worker on.
func (x *machine) work() {
	w := &x.worker
	if !x.running || x.interrupted {
		return
	}
	if x.online() {
		if w.active {
			w.active, w.running, w.exhausted, w.failed = false, false, false, 0
			x.dirty = true
		}
		return
	}
	if !w.active {
		w.active = true
		w.step++
		w.base, w.delay = x.now, x.back.delay(w.step, x.random())
		if x.limit() == 0 {
			x.exhaust()
		}
	}
	if w.running && x.passOver() {
		x.endPass()
	}
	if !w.running && !x.allDrained() && !x.passDue().After(x.now) {
		x.startPass()
	}
}

// passDue is when the next pass starts.
func (x *machine) passDue() time.Time {
	return x.worker.base.Add(x.capped(x.worker.delay))
}

// capped shortens a wait while somebody cares.
func (x *machine) capped(d time.Duration) time.Duration {
	if x.short && d > shortDelay {
		return shortDelay
	}
	return d
}

// care notes whether somebody cares, for capped: once per input, since it looks
// at all members.
func (x *machine) care() { x.short = !x.opt.MaxReconnectDelaySet && x.asked() }

// asked tells whether a request waits or came lately, or clients are away from
// a priority member.
func (x *machine) asked() bool {
	return x.queue.len() > 0 || x.queue.passing > 0 || x.away() ||
		!x.lastRequest.IsZero() && x.now.Sub(x.lastRequest) <= askedFor
}

// startPass pings every member that is not known to serve.
func (x *machine) startPass() {
	w := &x.worker
	w.active, w.running, w.started = true, true, x.now
	if w.step == 0 {
		w.step = 1 // the first pass of a pool has no loss before it
	}
	x.counts.attempts++
	for _, m := range x.members {
		if m.drained || m.serves() && m.seen {
			continue
		}
		m.inPass = true
		if m.pings == 0 {
			x.ping(m, pingProbe, 0)
		}
	}
	if x.passOver() {
		x.endPass()
	}
}

// passOver tells whether the running pass has its result.
func (x *machine) passOver() bool {
	if x.now.Sub(x.worker.started) >= passTime {
		return true
	}
	for _, m := range x.members {
		if m.inPass {
			return false
		}
	}
	return true
}

// endPass ends a pass in which no member answered.
func (x *machine) endPass() {
	w := &x.worker
	w.running = false
	for _, m := range x.members {
		m.inPass = false
	}
	w.failed++
	w.step++
	// The wait is counted from the start of the pass, so that one member that
	// drops packets does not slow the search for the others.
	w.base, w.delay = w.started, x.back.delay(w.step, x.random())
	if earliest := x.now.Add(minDelay); w.base.Add(w.delay).Before(earliest) {
		w.base, w.delay = x.now, minDelay
	}
	if len(x.members) == 0 {
		x.lastErr = noAddresses
	}
	if n := x.limit(); n >= 0 && w.failed >= n && !w.exhausted {
		x.exhaust()
	} else {
		x.warn()
	}
	x.passFailed()
}

var noAddresses = told("the pool has no addresses")

// warn logs the first failed pass and then every nth, but not too often.
func (x *machine) warn() {
	w := &x.worker
	n := x.opt.WarnAfterReconnectAttempts
	if n <= 0 || w.failed != 1 && w.failed%n != 0 || !w.warned.IsZero() && x.now.Sub(w.warned) < warnEvery {
		return
	}
	w.warned = x.now
	x.log(slog.LevelWarn, "no backend answers", "failed_passes", w.failed, "error", x.lastErr.String())
}

// exhaust says that the attempts are used up. The passes go on.
func (x *machine) exhaust() {
	w := &x.worker
	w.exhausted, x.dirty = true, true
	if x.opt.MaxReconnectAttempts != 0 {
		x.log(slog.LevelError, "reconnect attempts exhausted", "failed_passes", w.failed, "error", x.lastErr.String())
		x.emit("failover_exhausted", map[string]any{
			"failed_passes": w.failed, "error": x.lastErr.String(),
			"code": "DISCONNECT", "failed_over": false, "clients": x.queue.len(),
		})
	}
	x.refuseAll(ReasonExhausted)
}

// passSoon starts a pass, or probes, at once: something changed that may help.
func (x *machine) passSoon() {
	x.worker.base, x.worker.delay = x.now, 0
	for _, m := range x.members {
		if m.state == stateDown {
			m.base, m.delay = x.now, 0
		}
	}
}

func (x *machine) allDrained() bool {
	for _, m := range x.members {
		if !m.drained {
			return false
		}
	}
	return len(x.members) > 0
}

// state is what status says of the pool.
func (x *machine) state() string {
	switch {
	case x.worker.exhausted:
		return "exhausted"
	case !x.reached:
		return "connecting"
	case x.online():
		return "connected"
	default:
		return "reconnecting"
	}
}
