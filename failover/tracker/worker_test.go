// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"slices"
	"testing"
	"time"
)

// The first pass has no loss before it and counts as one; a loss counts for the next.
func TestWorkerCountsPassesAndLosses(t *testing.T) {
	var steps []int
	wait := func(step int) time.Duration {
		steps = append(steps, step)
		return time.Hour
	}
	var w Worker
	w.Begin(start)
	w.Fail(start, wait)
	w.Begin(start)
	w.Fail(start, wait)
	w.Serve()
	w.Lose(start, wait)
	w.Begin(start)
	w.Fail(start, wait)
	if want := []int{2, 3, 4, 5}; !slices.Equal(steps, want) {
		t.Errorf("waits before the passes %v, want %v", steps, want)
	}
	if w.Failed != 1 || w.Running || !w.Started.Equal(start) {
		t.Errorf("after the loss: %+v", w)
	}
}

// A pass has a second.
func TestWorkerPassIsLate(t *testing.T) {
	var w Worker
	w.Begin(start)
	if w.Late(start.Add(PassTime-1)) || !w.Late(start.Add(PassTime)) {
		t.Error("a pass is not over after its time")
	}
}

// A wait that would end within the least one is lengthened to it.
func TestWorkerNeverSpins(t *testing.T) {
	for _, tc := range []struct{ wait, took, want time.Duration }{ // want: from the pass's end
		{time.Second, 400 * time.Millisecond, 600 * time.Millisecond},
		{time.Second, time.Second - MinDelay, MinDelay},
		{time.Second, time.Second - MinDelay + 1, MinDelay},
		{time.Second, 2 * time.Second, MinDelay},
	} {
		var w Worker
		w.Begin(start)
		end := start.Add(tc.took)
		w.Fail(end, func(int) time.Duration { return tc.wait })
		if got := w.Base.Add(w.Delay).Sub(end); got != tc.want {
			t.Errorf("wait %v after %v: the next pass is %v away, want %v", tc.wait, tc.took, got, tc.want)
		}
	}
	var w Worker
	w.Begin(start)
	w.Fail(start, func(int) time.Duration { return time.Hour })
	later := start.Add(time.Minute)
	if w.Soon(later); !w.Base.Add(w.Delay).Equal(later) {
		t.Errorf("soon is %v away", w.Base.Add(w.Delay).Sub(later))
	}
}

// Exhausted passes are no more once a member serves, and Serve reports the change alone.
func TestWorkerServes(t *testing.T) {
	w := Worker{Active: true, Running: true, Exhausted: true, Failed: 7, Step: 3}
	if !w.Serve() || w != (Worker{Step: 3}) {
		t.Errorf("a member serves: %+v", w)
	}
	if w.Serve() {
		t.Error("it served before")
	}
}

// The first failed pass is told of and then every nth, ten seconds apart at least.
func TestWorkerWarns(t *testing.T) {
	for _, tc := range []struct {
		n     int
		every time.Duration // between two passes
		want  []int
	}{
		{0, time.Minute, nil},
		{1, time.Minute, []int{1, 2, 3, 4, 5, 6}},
		{2, time.Minute, []int{1, 2, 4, 6}},
		{5, time.Minute, []int{1, 5}},
		{1, 5 * time.Second, []int{1, 3, 5}},
		{1, 5*time.Second - 1, []int{1, 4}},
	} {
		var w Worker
		var got []int
		for w.Failed = 1; w.Failed <= 6; w.Failed++ {
			if w.Warns(start.Add(time.Duration(w.Failed)*tc.every), tc.n) {
				got = append(got, w.Failed)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("every %d, %v apart: told of %v, want %v", tc.n, tc.every, got, tc.want)
		}
	}
}
