// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRestartDelays(t *testing.T) {
	t.Parallel()
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		name   string
		policy Policy
		random float64
		want   []time.Duration // after the first death, the second, …
	}{
		{"default, middle of the jitter", Policy{Delay: 2 * s, MaxDelay: 60 * s}, 0.5, []time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 54 * s, 54 * s}},
		{"lower end", Policy{Delay: 2 * s, MaxDelay: 60 * s}, 0, []time.Duration{2 * s, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 48 * s, 48 * s}},
		{"constant", Policy{Delay: 2 * s, MaxDelay: 2 * s}, 0.9, []time.Duration{2 * s, 2 * s, 2 * s}},
		{"shorter than the least", Policy{Delay: ms, MaxDelay: ms}, 0.5, []time.Duration{ms, ms, ms}},
		{"none", Policy{}, 0.5, []time.Duration{0, 100 * ms, 100 * ms}},
		{"none at first", Policy{MaxDelay: s}, 0.5, []time.Duration{0, 200 * ms, 400 * ms, 800 * ms, 900 * ms}},
		{"no overflow", Policy{Delay: math.MaxInt64 / 3, MaxDelay: math.MaxInt64}, 0, []time.Duration{math.MaxInt64 / 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i, want := range c.want {
				if got := c.policy.After(i+1, c.random); got.Round(ms) != want.Round(ms) {
					t.Errorf("after death %d: %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

func TestRestartDelayBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Policy{
			Delay:    time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "delay")),
			MaxDelay: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "max")),
		}
		n := rapid.IntRange(1, 1000).Draw(t, "deaths")
		got := r.After(n, rapid.Float64Range(0, 0.999999).Draw(t, "random"))
		if n == 1 || r.MaxDelay <= r.Delay {
			if got != r.Delay {
				t.Fatalf("%+v after %d: %s, want exactly %s", r, n, got, r.Delay)
			}
			return
		}
		exact := math.Min(float64(r.Delay)*math.Pow(2, float64(n-1)), float64(r.MaxDelay))
		if f := float64(got); got > r.MaxDelay || f < exact*0.8*0.999999-1 || f > exact*1.2*1.000001+1 {
			t.Fatalf("%+v after %d: %s, want %s ±20 %%, at most %s", r, n, got, time.Duration(exact), r.MaxDelay)
		}
	})
}
