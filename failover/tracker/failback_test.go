// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"
)

// A member is home after three fit answers in a row that span failback_delay.
func TestFailbackWantsAnswersInARow(t *testing.T) {
	const delay = 2 * time.Second
	type ping struct {
		at     time.Duration
		status int
		ready  bool // afterwards
		news   bool // the ping changed that
	}
	for _, tc := range []struct {
		name  string
		pings []ping
	}{
		{"span and number", []ping{{0, 200, false, false}, {time.Second, 200, false, false}, {2 * time.Second, 200, true, true}}},
		{"number without span", []ping{{0, 200, false, false}, {0, 200, false, false}, {0, 200, false, false}, {2*time.Second - 1, 200, false, false}, {2 * time.Second, 200, true, true}}},
		{"span without number", []ping{{0, 200, false, false}, {time.Minute, 200, false, false}, {time.Minute, 200, true, true}}},
		{"the span begins with the first fit one", []ping{{0, 503, false, false}, {time.Second, 404, false, false}, {2 * time.Second, 500, false, false}, {3 * time.Second, 200, true, true}}},
		{"unfit in between", []ping{{0, 200, false, false}, {time.Second, 502, false, false}, {2 * time.Second, 200, false, false}, {3 * time.Second, 200, false, false}, {4 * time.Second, 200, true, true}}},
		{"it stays ready", []ping{{0, 200, false, false}, {time.Second, 200, false, false}, {2 * time.Second, 200, true, true}, {3 * time.Second, 200, true, false}}},
		{"unfit after it was ready", []ping{{0, 200, false, false}, {time.Second, 200, false, false}, {2 * time.Second, 200, true, true}, {3 * time.Second, 504, false, true}, {4 * time.Second, 200, false, false}, {5 * time.Second, 200, false, false}, {6 * time.Second, 200, true, true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Failback
			f.Begin(start)
			for i, p := range tc.pings {
				now := start.Add(p.at)
				if news := f.Pinged(now, p.status, delay); news != p.news || f.Ready != p.ready {
					t.Errorf("ping %d: ready %t, news %t", i+1, f.Ready, news)
				}
				if p.news && !f.Trial.Equal(now) {
					t.Errorf("ping %d: it looks for a request since %v", i+1, f.Trial.Sub(start))
				}
			}
		})
	}
}

// Three pings fit into the delay, and a ready member is pinged no more than once a second.
func TestFailbackPace(t *testing.T) {
	for _, tc := range []struct{ delay, want, ready time.Duration }{
		{10 * time.Second, 5 * time.Second, 5 * time.Second},
		{time.Second, 500 * time.Millisecond, time.Second},
		{0, MinDelay, time.Second},
	} {
		var f Failback
		if got := f.Pace(tc.delay); got != tc.want {
			t.Errorf("%v: every %v, want %v", tc.delay, got, tc.want)
		}
		f.Ready = true
		if got := f.Pace(tc.delay); got != tc.ready {
			t.Errorf("%v, ready: every %v, want %v", tc.delay, got, tc.ready)
		}
	}
}

// One that is lost soon after it came home has to stay longer the next time, until it
// has been home for a minute.
func TestFailbackOfOneThatFlaps(t *testing.T) {
	const least, most = time.Second, 5 * time.Second
	type loss struct{ home, want time.Duration } // how long it was home, and what it needs then
	for _, tc := range []struct {
		name        string
		least, most time.Duration
		losses      []loss
	}{
		{"doubles up to the most", least, most, []loss{{0, 2 * time.Second}, {time.Second, 4 * time.Second}, {59 * time.Second, most}, {time.Second, most}}},
		{"a minute at home", least, most, []loss{{0, 2 * time.Second}, {time.Minute, least}, {time.Minute - 1, 2 * time.Second}}},
		{"the most is less than the least", 10 * time.Second, most, []loss{{0, 10 * time.Second}}},
		{"no delay", 0, most, []loss{{0, MinDelay}, {0, 2 * MinDelay}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Failback
			if f.Lost(start, tc.least, tc.most); f.Need(tc.least) != tc.least {
				t.Errorf("one that was never home needs %v", f.Need(tc.least))
			}
			for i, l := range tc.losses {
				f.Done(start)
				if f.Lost(start.Add(l.home), tc.least, tc.most); f.Need(tc.least) != l.want {
					t.Errorf("loss %d: it needs %v, want %v", i+1, f.Need(tc.least), l.want)
				}
			}
		})
	}
}
