// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

const (
	// watchPings is at how many points of maxInactivityDuration a member is
	// pinged: at one third, two thirds and the end.
	watchPings = 3
	// pingEvery is the shortest time between two such pings of one member. With a
	// short maxInactivityDuration one ping then stands for two.
	pingEvery = time.Second
	// watchOthers is how many other members are pinged with it.
	watchOthers = 2
)

// watch follows a member with requests in progress, to tell a hung one from a
// slow one. A hung one gave no byte and answered no ping for the whole time,
// while another one answered.
//
// Invariants: quiet is zero exactly while no request waits for the member; each of
// the points that have passed was owed one ping at most; hung is never said before
// a ping was asked for.
type watch struct {
	reads, writes uint64    // of the member, at the last look
	quiet         time.Time // since when nothing has come from it; zero when nothing is waited for
	points        int       // of the time that have passed, up to watchPings
	owed          bool      // a ping is due
	asked         int       // pings asked for since quiet
}

// traffic is what is known of a member's requests at a look.
type traffic struct {
	reads, writes uint64 // grow with what comes from it and with what it takes of bodies
	waiting       int64  // requests that have their connection
	uploading     int64  // of those, with a body on its way
}

// judgement is what a watch says at a look.
type judgement uint8

const (
	watchOn  judgement = iota // nothing is to be done
	watchAsk                  // the member and others are to be pinged
	watchHung
)

// reset begins the time anew.
func (w *watch) reset(t traffic, now time.Time) {
	*w = watch{reads: t.reads, writes: t.writes, quiet: now}
}

// lastAnswer is how long the last ping may take to be answered before the
// verdict.
func lastAnswer(d time.Duration) time.Duration { return min(time.Second, d*2/3) }

// look is taken at each sample. d is maxInactivityDuration, 0 for never; pinged is
// when the member was pinged last, and probed says that its probes stand for pings
// of the watch. another reports whether another member answered a ping since. With
// watchAsk, left is how long the answers may take.
func (w *watch) look(now time.Time, d time.Duration, t traffic, pinged time.Time, probed bool, another func(since time.Time) bool) (j judgement, left time.Duration) {
	if d <= 0 || t.waiting <= 0 {
		*w = watch{}
		return watchOn, 0
	}
	// An upload that the backend takes is progress, but a request that is only
	// written says nothing: the kernel takes it for a backend that is stopped.
	uploads := t.writes != w.writes && t.uploading >= t.waiting
	if w.quiet.IsZero() || t.reads != w.reads || uploads {
		w.reset(t, now)
		return watchOn, 0
	}
	w.writes = t.writes
	age := now.Sub(w.quiet)
	if points := min(int(age*watchPings/d), watchPings); points > w.points {
		w.points, w.owed = points, true
	}
	if left = d + lastAnswer(d) - age; left <= 0 {
		if w.asked > 0 && another(w.quiet) {
			return watchHung, age
		}
		// The last one is not taken down for being slow. Ask on.
		left = max(d/watchPings, pingEvery)
		w.owed = w.owed || now.Sub(pinged) >= left
	}
	if !w.owed || now.Sub(pinged) < pingEvery && !probed {
		return watchOn, 0
	}
	w.owed = false
	w.asked++
	return watchAsk, left
}
