// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"testing"
	"time"
)

// growing feeds a watch with a process that is above its limit from the second sample on,
// and is replaced when that is said, and returns the seconds at which that was.
func growing(w *Watch, limit Limit, seconds int) (at []int, helpless []int) {
	process, own := 1, int64(0)
	for s := range seconds {
		own += limit.Bytes - 1
		v := w.Sample(time.Unix(int64(s), 0), process, own, limit)
		if v == nil {
			continue
		}
		if at = append(at, s); v.Helpless {
			helpless = append(helpless, v.Row)
		}
		process, own = process+1, 0
	}
	return at, helpless
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit    Limit
		seconds  int
		at       []int
		helpless int
	}{
		"none":              {limit: Limit{}, seconds: 100},
		"three in a row":    {limit: Limit{Bytes: 100, Interval: time.Second}, seconds: 10, at: []int{3, 7}},
		"not too often":     {limit: Limit{Bytes: 100, Interval: 10 * time.Second}, seconds: 30, at: []int{3, 13, 23}},
		"it does not help":  {limit: Limit{Bytes: 100, Interval: 10 * time.Second}, seconds: 60, at: []int{3, 13, 23, 33, 43, 53}, helpless: 4},
		"at most one a day": {limit: Limit{Bytes: 100, Interval: 24 * time.Hour}, seconds: 3600, at: []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, helpless := growing(new(Watch), c.limit, c.seconds)
			if len(at) != len(c.at) {
				t.Fatalf("replaced at %v, want %v", at, c.at)
			}
			for i := range at {
				if at[i] != c.at[i] {
					t.Fatalf("replaced at %v, want %v", at, c.at)
				}
			}
			if c.helpless == 0 && len(helpless) > 0 || c.helpless > 0 && (len(helpless) != 1 || helpless[0] != c.helpless) {
				t.Errorf("said to be helpless at replacements %v, want once, at %d", helpless, c.helpless)
			}
		})
	}
}

// One sample that is not above the limit, and another process, begin anew.
func TestWatchBeginsAnew(t *testing.T) {
	t.Parallel()
	limit := Limit{Bytes: 100, Interval: time.Second}
	w, second := new(Watch), 0
	sample := func(process int, own int64) bool {
		second++
		return w.Sample(time.Unix(int64(second), 0), process, own, limit) != nil
	}
	for i, c := range []struct {
		process int
		own     int64
		want    bool
	}{
		{1, 101, false},
		{1, 101, false},
		{1, 100, false}, // not above
		{1, 101, false},
		{1, 101, false},
		{2, 101, false}, // another one
		{2, 101, false},
		{2, 101, true},
	} {
		if got := sample(c.process, c.own); got != c.want {
			t.Errorf("sample %d: %v, want %v", i, got, c.want)
		}
	}
}

// Replacements that are far apart help: what leaks for hours is as good as new.
func TestWatchSlowGrowth(t *testing.T) {
	t.Parallel()
	limit := Limit{Bytes: 100, Interval: time.Minute}
	w := new(Watch)
	for hour := range 24 {
		for second := range patience {
			v := w.Sample(time.Unix(int64(hour*3600+second), 0), hour+1, 200, limit)
			if (v != nil) != (second == patience-1) {
				t.Fatalf("hour %d, second %d: %+v", hour, second, v)
			}
			if v != nil && (v.Row != 1 || v.Helpless) {
				t.Fatalf("hour %d: %+v, want the first of a row", hour, v)
			}
		}
	}
}
