// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"
)

// silence is a watch of a member that gives nothing for as long as a test says.
type silence struct {
	t      *testing.T
	w      Watch
	d      time.Duration
	pinged time.Time
	probed bool
	since  time.Time // what the watch wants a witness for
	answer bool      // of the witness
}

// look looks at that age, and says when what it asks for has to be answered.
func (s *silence) look(age time.Duration, want Judgement, left time.Duration) {
	s.t.Helper()
	j, got := s.w.Look(start.Add(age), s.d, Traffic{Waiting: 1}, s.pinged, s.probed, func(since time.Time) bool {
		s.since = since
		return s.answer
	})
	if j != want || want != WatchOn && got != left {
		s.t.Errorf("at %v: %d within %v, want %d within %v", age, j, got, want, left)
	}
	if j == WatchAsk {
		s.pinged = start.Add(age)
	}
}

// The member is pinged at thirds of the time, and has a while to answer the last ping.
func TestWatchAsksAtThirds(t *testing.T) {
	s := &silence{t: t, d: 9 * time.Second, pinged: start.Add(-time.Hour), answer: true}
	s.look(0, WatchOn, 0)
	s.look(3*time.Second-1, WatchOn, 0)
	s.look(3*time.Second, WatchAsk, 7*time.Second)
	s.look(3*time.Second+1, WatchOn, 0)
	s.look(6*time.Second, WatchAsk, 4*time.Second)
	s.look(9*time.Second, WatchAsk, time.Second)
	s.look(10*time.Second-1, WatchOn, 0)
	s.look(10*time.Second, WatchHung, 10*time.Second)
	if !s.since.Equal(start) {
		t.Errorf("the witness is wanted since %v", s.since.Sub(start))
	}
}

// With a short time one ping stands for several points; the last answer has two thirds
// of the time.
func TestWatchWithAShortTime(t *testing.T) {
	s := &silence{t: t, d: 300 * time.Millisecond, pinged: start.Add(-time.Hour), answer: true}
	s.look(0, WatchOn, 0)
	s.look(100*time.Millisecond, WatchAsk, 400*time.Millisecond)
	s.look(200*time.Millisecond, WatchOn, 0) // the first is less than a second ago
	s.look(500*time.Millisecond-1, WatchOn, 0)
	s.look(500*time.Millisecond, WatchHung, 500*time.Millisecond)
}

// A ping that is owed comes as soon as the last one is a second ago; the probes of a member
// that is down stand for it at once.
func TestWatchOwesAPing(t *testing.T) {
	for _, probed := range []bool{false, true} {
		s := &silence{t: t, d: 3 * time.Second, pinged: start.Add(500 * time.Millisecond), probed: probed}
		s.look(0, WatchOn, 0)
		if probed {
			s.look(time.Second, WatchAsk, 3*time.Second)
			continue
		}
		s.look(time.Second, WatchOn, 0)
		s.look(1500*time.Millisecond-1, WatchOn, 0)
		s.look(1500*time.Millisecond, WatchAsk, 2500*time.Millisecond)
	}
}

// Where no other member answers there is no verdict: the pings go on, a third of the
// time apart and a second at least.
func TestWatchWithoutAWitnessAsksOn(t *testing.T) {
	for d, every := range map[time.Duration]time.Duration{9 * time.Second: 3 * time.Second, time.Second: time.Second} {
		s := &silence{t: t, d: d, pinged: start.Add(-time.Hour)}
		s.look(0, WatchOn, 0)
		end := d + lastAnswer(d)
		s.look(end, WatchAsk, every)
		s.look(end+every-1, WatchOn, 0)
		s.look(end+every, WatchAsk, every)
		s.answer = true
		s.look(end+every+1, WatchHung, end+every+1)
	}
}

// A member that nobody has pinged is not hung, whatever the others answer.
func TestWatchNeverJudgesBeforeItAsked(t *testing.T) {
	s := &silence{t: t, d: 3 * time.Second, pinged: start.Add(-time.Hour), answer: true}
	s.look(0, WatchOn, 0)
	s.look(time.Hour, WatchAsk, time.Second)
	s.look(time.Hour+1, WatchHung, time.Hour+1)
}

// What a member gives begins the time anew: bytes always, a body that it takes only where
// all that wait are sending one.
func TestWatchCountsWhatIsProgress(t *testing.T) {
	for _, tc := range []struct {
		name   string
		now    Traffic
		anew   bool
		dozing bool // nothing waits
		d      time.Duration
	}{
		{name: "nothing", now: Traffic{Reads: 1, Writes: 1, Waiting: 2}},
		{name: "a byte", now: Traffic{Reads: 2, Writes: 1, Waiting: 2}, anew: true},
		{name: "a request was written", now: Traffic{Reads: 1, Writes: 2, Waiting: 2}},
		{name: "one of two uploads", now: Traffic{Reads: 1, Writes: 2, Waiting: 2, Uploading: 1}},
		{name: "both upload", now: Traffic{Reads: 1, Writes: 2, Waiting: 2, Uploading: 2}, anew: true},
		{name: "both upload and are stuck", now: Traffic{Reads: 1, Writes: 1, Waiting: 2, Uploading: 2}},
		{name: "nothing waits", now: Traffic{Reads: 1, Writes: 1}, dozing: true},
		{name: "off", now: Traffic{Reads: 1, Writes: 1, Waiting: 2}, dozing: true, d: -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := 3 * time.Second
			var w Watch
			w.Look(start, d, Traffic{Reads: 1, Writes: 1, Waiting: 2}, start, false, nil)
			if tc.d != 0 {
				d = 0
			}
			later := start.Add(time.Millisecond)
			if j, _ := w.Look(later, d, tc.now, start, false, nil); j != WatchOn {
				t.Errorf("judged %d", j)
			}
			if w.Quiet.IsZero() != tc.dozing || w.Quiet.Equal(later) != tc.anew {
				t.Errorf("quiet since %v", w.Quiet.Sub(start))
			}
		})
	}
}
