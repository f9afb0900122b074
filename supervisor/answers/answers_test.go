// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package answers

import (
	"math"
	"testing"
)

func TestExceeded(t *testing.T) {
	t.Parallel()
	limit := Limit{More: 0.05, Least: 100}
	const told = "5.6 % of 250 requests were answered with 5xx, and 0.5 % of 1000 before; probation_errors allows 5 % more"
	for _, c := range []struct {
		name        string
		limit       Limit
		before, now Counts
		want        string
	}{
		{"more than allowed", limit, Counts{1000, 5}, Counts{250, 14}, told},
		{"as many as allowed", limit, Counts{1000, 50}, Counts{200, 20}, ""},
		{"too few since", limit, Counts{1000, 0}, Counts{99, 99}, ""},
		{"too few before", limit, Counts{99, 0}, Counts{1000, 1000}, ""},
		{"none at all", Limit{More: 0.05}, Counts{}, Counts{}, ""},
		{"without a limit", Limit{Least: 100}, Counts{1000, 0}, Counts{1000, 1000}, ""},
		{"always many", limit, Counts{1000, 990}, Counts{1000, 1000}, ""},
		{"nonsense", limit, Counts{1000, 0}, Counts{100, math.MaxUint64}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.limit.Exceeded(c.before, c.now); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	var w Window
	if got := w.Lately(); got != (Counts{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := range uint64(200) {
		w.Sample(1, Counts{10 * i, i})
		if want := 10 * min(i, 60); w.Lately().All != want {
			t.Fatalf("after %d samples: %+v, want %d", i, w.Lately(), want)
		}
	}
	w.Sample(1, Counts{5, 0}) // a process that says nonsense
	if got := w.Lately(); got != (Counts{}) {
		t.Errorf("of nonsense: %+v", got)
	}
	w.Sample(2, Counts{7, 1})
	if got := w.Lately(); got != (Counts{7, 1}) {
		t.Errorf("of another process: %+v", got)
	}
}
