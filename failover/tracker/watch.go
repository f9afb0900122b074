// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

const (
	// watchPings is at how many points of maxInactivityDuration a member is
	// pinged: at one third, two thirds and the end.
	watchPings = 3
	// PingEvery is the shortest time between two such pings of one member. With a
	// short maxInactivityDuration one ping then stands for two.
	PingEvery = time.Second
)

// Watch follows a member with requests in progress, to tell a hung one from a
// slow one. A hung one gave no byte and answered no ping for the whole time,
// while another one answered.
//
// Invariants: Quiet is zero exactly while no request waits for the member; each of
// the points that have passed was owed one ping at most; WatchHung is never said before
// a ping was asked for.
type Watch struct {
	reads, writes uint64    // of the member, at the last look
	Quiet         time.Time // since when nothing has come from it; zero when nothing is waited for
	points        int       // of the time that have passed, up to watchPings
	owed          bool      // a ping is due
	Asked         int       // pings asked for since Quiet
}

// Traffic is what is known of a member's requests at a look.
type Traffic struct {
	Reads, Writes uint64 // grow with what comes from it and with what it takes of bodies
	Waiting       int64  // requests that have their connection
	Uploading     int64  // of those, with a body on its way
}

// Judgement is what a watch says at a look.
type Judgement uint8

// The values of Judgement.
const (
	WatchOn  Judgement = iota // nothing is to be done
	WatchAsk                  // the member and others are to be pinged
	WatchHung
)

// Reset begins the time anew.
func (w *Watch) Reset(t Traffic, now time.Time) {
	*w = Watch{reads: t.Reads, writes: t.Writes, Quiet: now}
}

// lastAnswer is how long the last ping may take to be answered before the
// verdict.
func lastAnswer(d time.Duration) time.Duration { return min(time.Second, d*2/3) }

// Look is taken at each sample. d is maxInactivityDuration, 0 for never; pinged is
// when the member was pinged last, and probed says that its probes stand for pings
// of the watch. another reports whether another member answered a ping since. With
// WatchAsk, left is how long the answers may take.
func (w *Watch) Look(now time.Time, d time.Duration, t Traffic, pinged time.Time, probed bool, another func(since time.Time) bool) (j Judgement, left time.Duration) {
	if d <= 0 || t.Waiting <= 0 {
		*w = Watch{}
		return WatchOn, 0
	}
	// An upload that the backend takes is progress, but a request that is only
	// written says nothing: the kernel takes it for a backend that is stopped.
	uploads := t.Writes != w.writes && t.Uploading >= t.Waiting
	if w.Quiet.IsZero() || t.Reads != w.reads || uploads {
		w.Reset(t, now)
		return WatchOn, 0
	}
	w.writes = t.Writes
	age := now.Sub(w.Quiet)
	if points := min(int(age*watchPings/d), watchPings); points > w.points {
		w.points, w.owed = points, true
	}
	if left = d + lastAnswer(d) - age; left <= 0 {
		if w.Asked > 0 && another(w.Quiet) {
			return WatchHung, age
		}
		// The last one is not taken down for being slow. Ask on.
		left = max(d/watchPings, PingEvery)
		w.owed = w.owed || now.Sub(pinged) >= left
	}
	if !w.owed || now.Sub(pinged) < PingEvery && !probed {
		return WatchOn, 0
	}
	w.owed = false
	w.Asked++
	return WatchAsk, left
}
