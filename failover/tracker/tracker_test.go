// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"
)

var start = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// A pass that failed is followed by the next one as the back-off says, counted from
// its start, and never at once.
func TestWorkerWaitsBetweenPasses(t *testing.T) {
	wait := func(step int) time.Duration { return time.Duration(step) * 100 * time.Millisecond }
	var w Worker
	w.Begin(start)
	w.Fail(start.Add(50*time.Millisecond), wait)
	if due := w.Base.Add(w.Delay); !due.Equal(start.Add(200*time.Millisecond)) || w.Running || !w.Active || w.Failed != 1 {
		t.Errorf("the second pass is due after %v: %+v", due.Sub(start), w)
	}
	w.Begin(start.Add(200 * time.Millisecond))
	late := start.Add(900 * time.Millisecond) // all the wait is over
	if w.Fail(late, wait); w.Base.Add(w.Delay).Sub(late) != MinDelay {
		t.Errorf("the third pass is due %v after the second", w.Base.Add(w.Delay).Sub(late))
	}
	if !w.Serve() || w.Active || w.Failed != 0 || w.Serve() {
		t.Errorf("a member serves: %+v", w)
	}
	if w.Lose(late, wait); !w.Active || w.Step != 4 || w.Delay != 400*time.Millisecond {
		t.Errorf("lost again: %+v", w)
	}
}

// A member hangs that gave no byte and answered no ping for the whole time, while
// another one did, and no sooner.
func TestWatchWantsAWitness(t *testing.T) {
	const d = 3 * time.Second
	for _, witness := range []bool{true, false} {
		var w Watch
		asked, hung := 0, time.Duration(0)
		for age := time.Duration(0); age <= 10*time.Second && hung == 0; age += 100 * time.Millisecond {
			pinged := start.Add(-time.Hour)
			if asked > 0 {
				pinged = start.Add(time.Duration(asked) * time.Second)
			}
			j, _ := w.Look(start.Add(age), d, Traffic{Waiting: 1}, pinged, false, func(time.Time) bool { return witness })
			switch j {
			case WatchAsk:
				asked++
			case WatchHung:
				hung = age
			}
		}
		if witness && (hung != 4*time.Second || asked != 3) || !witness && hung != 0 {
			t.Errorf("witness %t: hung after %v and %d pings", witness, hung, asked)
		}
	}
}

// A byte, or an upload that all requests are busy with, begins the time anew.
func TestWatchSeesProgress(t *testing.T) {
	var w Watch
	for i := range 100 {
		tr := Traffic{Waiting: 2, Uploading: 2, Writes: uint64(i)}
		if i > 50 {
			tr.Reads, tr.Uploading = uint64(i), 1
		}
		if j, _ := w.Look(start.Add(time.Duration(i)*time.Second), 2*time.Second, tr, start, false, nil); j != WatchOn {
			t.Fatalf("look %d says %d", i, j)
		}
	}
	if w.Look(start, 2*time.Second, Traffic{}, start, false, nil); !w.Quiet.IsZero() {
		t.Error("nothing waits, and the time runs")
	}
}

func TestSamplerFitsThePeriod(t *testing.T) {
	var s Sampler
	for shortest, want := range map[time.Duration]time.Duration{
		0: SamplePeriod, time.Minute: SamplePeriod, time.Second: 50 * time.Millisecond, time.Millisecond: 10 * time.Millisecond,
	} {
		if s.Configure(shortest); s.period != want {
			t.Errorf("for %v the period is %v, want %v", shortest, s.period, want)
		}
	}
	s.Configure(0)
	if s.Due(start) {
		t.Error("due while it sleeps")
	}
	s.Wake(start)
	if s.Due(start) || !s.Due(start.Add(SamplePeriod)) || s.Due(start.Add(SamplePeriod)) {
		t.Error("not due once in a period")
	}
	if s.Turn(start.Add(SamplePeriod/2)) || !s.Turn(start.Add(SamplePeriod)) || s.Tick != 1 {
		t.Errorf("after one period the tick is %d", s.Tick)
	}
}
