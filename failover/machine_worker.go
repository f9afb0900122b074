// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// askedFor is how long after a request the pool counts as asked for.
const askedFor = 10 * time.Second

// online reports whether a member serves that has been seen. Configured members
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

// noFailover reports whether a request gets one member only: max_reconnect_attempts
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
		if w.Serve() {
			x.dirty = true
		}
		return
	}
	if !w.Active {
		w.Lose(x.now, x.wait)
		if x.limit() == 0 {
			x.exhaust()
		}
	}
	if w.Running && x.passOver() {
		x.endPass()
	}
	if !w.Running && !x.allDrained() && !x.passDue().After(x.now) {
		x.startPass()
	}
}

// passDue is when the next pass starts.
func (x *machine) passDue() time.Time {
	return x.worker.Base.Add(x.capped(x.worker.Delay))
}

// wait is the back-off before the pass, or the probe, of that number.
func (x *machine) wait(step int) time.Duration { return x.back.Delay(step, x.random()) }

// capped shortens a wait while something is waited for.
func (x *machine) capped(d time.Duration) time.Duration {
	if x.short && d > tracker.ShortDelay {
		return tracker.ShortDelay
	}
	return d
}

// care notes whether something is waited for, for capped: once per input, since it looks
// at all members.
func (x *machine) care() { x.short = !x.opt.MaxReconnectDelaySet && x.asked() }

// asked reports whether a request waits or came lately, or clients are away from
// a priority member.
func (x *machine) asked() bool {
	return x.queue.len() > 0 || x.queue.passing > 0 || x.away() ||
		!x.lastRequest.IsZero() && x.now.Sub(x.lastRequest) <= askedFor
}

// startPass pings every member that is not known to serve.
func (x *machine) startPass() {
	x.worker.Begin(x.now)
	x.passes++
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

// passOver reports whether the running pass has its result.
func (x *machine) passOver() bool {
	if x.worker.Late(x.now) {
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
	for _, m := range x.members {
		m.inPass = false
	}
	w.Fail(x.now, x.wait)
	if len(x.members) == 0 {
		x.lastErr = noAddresses
	}
	if n := x.limit(); n >= 0 && w.Failed >= n && !w.Exhausted {
		x.exhaust()
	} else {
		x.warn()
	}
	x.passFailed()
}

var noAddresses = report.Told("the pool has no addresses")

// warn logs failed passes.
func (x *machine) warn() {
	if w := &x.worker; w.Warns(x.now, x.opt.WarnAfterReconnectAttempts) {
		x.log(slog.LevelWarn, "no backend answers", "failed_passes", w.Failed, "waiting", x.queue.len(), "error", x.lastErr.String())
	}
}

// exhaust says that the attempts are used up. The passes go on.
func (x *machine) exhaust() {
	w := &x.worker
	w.Exhausted, x.dirty = true, true
	if x.opt.MaxReconnectAttempts != 0 {
		x.emit("failover_exhausted", map[string]any{
			"failed_passes": w.Failed, "error": x.lastErr.String(),
			"code": "DISCONNECT", "failed_over": false, "clients": x.queue.len(),
		})
	}
	x.refuseAll(report.ReasonExhausted)
}

// relent ends the exhaustion that the options in effect do not know: a reload has
// taken the limit away, or has raised it.
func (x *machine) relent() {
	if n := x.limit(); n < 0 || x.worker.Failed < n {
		x.worker.Exhausted = false
	}
}

// passSoon starts a pass, or probes, at once: something changed that may help.
func (x *machine) passSoon() {
	x.worker.Soon(x.now)
	for _, m := range x.members {
		if m.state == stateDown {
			m.base, m.delay = x.now, 0
		}
	}
}

func (x *machine) allDrained() bool { return len(x.members) > 0 && x.undrained() == 0 }

// undrained counts the members that no operator lets rest.
func (x *machine) undrained() (n int) {
	for _, m := range x.members {
		if !m.drained {
			n++
		}
	}
	return n
}

// state is what status says of the pool.
func (x *machine) state() string {
	switch {
	case x.allDrained():
		return "all drained"
	case x.worker.Exhausted:
		return "exhausted"
	case !x.reached:
		return "connecting"
	case x.online():
		return "connected"
	default:
		return "reconnecting"
	}
}
