// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

const (
	// passTime bounds a pass: what has not answered by then has failed it, and
	// may still answer later.
	passTime = time.Second
	// warnEvery is the shortest time between two warnings about failed passes.
	warnEvery = 10 * time.Second
)

// worker is the pool's reconnecting: while no member serves, it makes passes
// over all of them.
//
//	serving ──last member lost──► waiting ──delay over──► pass ──an answer──► serving
//	                                 ▲                      │
//	                                 └──────no answer───────┘
//
// A pool begins in its first pass. The worker never gives up; "exhausted" only
// says what requests get meanwhile. wait is the back-off throughout: the wait
// before the pass of that number, counted from 1.
//
// Invariants: running and exhausted imply active; while it is not active failed is
// 0; a pass never starts sooner than minDelay after the end of the one before,
// unless soon was called.
type worker struct {
	active    bool      // no member serves
	running   bool      // in a pass
	started   time.Time // of the last pass
	step      int       // passes and losses since a request was last answered
	failed    int       // failed passes in a row
	base      time.Time // the wait is counted from here
	delay     time.Duration
	exhausted bool      // more passes have failed in a row than the options allow
	warned    time.Time // when a failed pass was last told of
}

// serve notes that a member serves. It reports whether that ends the passes.
func (w *worker) serve() bool {
	was := w.active
	w.active, w.running, w.exhausted, w.failed = false, false, false, 0
	return was
}

// lose notes that no member serves any more.
func (w *worker) lose(now time.Time, wait func(step int) time.Duration) {
	w.active = true
	w.step++
	w.base, w.delay = now, wait(w.step)
}

// begin starts a pass.
func (w *worker) begin(now time.Time) {
	w.active, w.running, w.started = true, true, now
	if w.step == 0 {
		w.step = 1 // the first pass of a pool has no loss before it
	}
}

// late reports whether the running pass has taken all its time.
func (w *worker) late(now time.Time) bool { return now.Sub(w.started) >= passTime }

// fail ends a pass that nothing answered. The wait is counted from its start, so
// that one member that drops packets does not slow the search for the others.
func (w *worker) fail(now time.Time, wait func(step int) time.Duration) {
	w.running = false
	w.failed++
	w.step++
	w.base, w.delay = w.started, wait(w.step)
	if w.base.Add(w.delay).Before(now.Add(minDelay)) {
		w.base, w.delay = now, minDelay
	}
}

// soon lets the next pass start at once: something changed that may help.
func (w *worker) soon(now time.Time) { w.base, w.delay = now, 0 }

// warns reports whether a failed pass is to be told of: the first and then every
// nth, but not too often.
func (w *worker) warns(now time.Time, n int) bool {
	if n <= 0 || w.failed != 1 && w.failed%n != 0 || !w.warned.IsZero() && now.Sub(w.warned) < warnEvery {
		return false
	}
	w.warned = now
	return true
}
