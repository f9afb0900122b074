// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// PassTime bounds a pass: what has not answered by then has failed it, and
	// may still answer later.
	PassTime = time.Second
	// warnEvery is the shortest time between two warnings about failed passes.
	warnEvery = 10 * time.Second
)

// Worker is the pool's reconnecting: while no member serves, it makes passes
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
// Invariants: Running and Exhausted imply Active; while it is not Active Failed is
// 0; a pass never starts sooner than minDelay after the end of the one before,
// unless Soon was called.
type Worker struct {
	Active    bool      // no member serves
	Running   bool      // in a pass
	Started   time.Time // of the last pass
	Step      int       // passes and losses since a request was last answered
	Failed    int       // failed passes in a row
	Base      time.Time // the wait is counted from here
	Delay     time.Duration
	Exhausted bool      // more passes have failed in a row than the options allow
	warned    time.Time // when a failed pass was last told of
}

// Serve notes that a member serves. It reports whether that ends the passes.
func (w *Worker) Serve() bool {
	was := w.Active
	w.Active, w.Running, w.Exhausted, w.Failed = false, false, false, 0
	return was
}

// Lose notes that no member serves any more.
func (w *Worker) Lose(now time.Time, wait func(step int) time.Duration) {
	w.Active = true
	w.Step++
	w.Base, w.Delay = now, wait(w.Step)
}

// Begin starts a pass.
func (w *Worker) Begin(now time.Time) {
	w.Active, w.Running, w.Started = true, true, now
	if w.Step == 0 {
		w.Step = 1 // the first pass of a pool has no loss before it
	}
}

// Late reports whether the running pass has taken all its time.
func (w *Worker) Late(now time.Time) bool { return now.Sub(w.Started) >= PassTime }

// Fail ends a pass that nothing answered. The wait is counted from its start, so
// that one member that drops packets does not slow the search for the others.
func (w *Worker) Fail(now time.Time, wait func(step int) time.Duration) {
	w.Running = false
	w.Failed++
	w.Step++
	w.Base, w.Delay = w.Started, wait(w.Step)
	if w.Base.Add(w.Delay).Before(now.Add(MinDelay)) {
		w.Base, w.Delay = now, MinDelay
	}
}

// Soon lets the next pass start at once: something changed that may help.
func (w *Worker) Soon(now time.Time) { w.Base, w.Delay = now, 0 }

// Warns reports whether a failed pass is to be told of: the first and then every
// nth, but not too often.
func (w *Worker) Warns(now time.Time, n int) bool {
	if n <= 0 || w.Failed != 1 && w.Failed%n != 0 || !w.warned.IsZero() && now.Sub(w.warned) < warnEvery {
		return false
	}
	w.warned = now
	return true
}
