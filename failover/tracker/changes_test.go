// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	var a Answers
	for i, c := range []struct {
		good, bad uint64
		failing   bool
		news      bool
	}{
		{0, 9, false, false},
		{1, 12, false, false},
		{1, 21, false, false},
		{1, 22, true, true},
		{1, 99, true, false},
		{2, 99, false, true},
		{2, 108, false, false},
		{2, 109, true, true},
	} {
		if _, news := a.Note(c.good, c.bad); news != c.news || a.Failing != c.failing {
			t.Errorf("%d: failing %v, news %v", i, a.Failing, news)
		}
	}
}

func TestFlaps(t *testing.T) {
	t.Parallel()
	var f Flaps
	now := time.Now()
	for i, c := range []struct {
		after time.Duration
		count int
	}{{0, 1}, {flapSpan, 1}, {time.Second, 2}, {flapSpan, 1}, {time.Second, 2}, {time.Second, 3}, {time.Second, 4}} {
		now = now.Add(c.after)
		f.Back(now)
		if n := f.Lost(now); n != c.count || f.Flapping() != (n >= FlapsFrom) {
			t.Errorf("%d: %d, want %d", i, n, c.count)
		}
	}
	if n := f.Lost(now.Add(time.Second)); n != 4 || !f.Away() {
		t.Errorf("lost while it is away: %d, and away %v", n, f.Away())
	}
	if away := f.Back(now.Add(time.Second)); away != time.Second || f.Away() {
		t.Errorf("back after %s, and away %v", away, f.Away())
	}
	if n := f.Steady(now.Add(flapSpan - 1)); n != 0 {
		t.Errorf("steady too early, after %d", n)
	}
	if n := f.Steady(f.Due()); n != 4 || f.Flapping() || !f.Due().IsZero() {
		t.Errorf("steady after %d; %+v", n, f)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	var o Outage
	now := time.Now()
	o.Note(time.Hour, true, false) // before it
	o.Begin(now)
	o.Begin(now.Add(time.Hour)) // it has begun
	o.Note(2*time.Second, false, false)
	o.Note(time.Second, true, false)
	o.Note(time.Second, true, true)
	got := o.End(now.Add(time.Hour), now.Add(time.Minute))
	want := Outage{Since: now, Waited: 3, Longest: 2 * time.Second, Refused: 1, Left: 1, Away: time.Minute}
	if got != want || o.Active() {
		t.Errorf("%v, want %v", got, want)
	}
}
