// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

const mib = 1 << 20

func TestDivide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		all          int64
		processes    int
		share, whole int64
	}{
		{0, 3, 0, 0},
		{1000 * mib, 0, 0, 0},
		{1000 * mib, 3, 320 * mib, 960 * mib},
		{1000 * mib, 4, 240 * mib, 960 * mib},
		{80 * mib, 3, 20 * mib, 60 * mib}, // the parent gets a quarter at most
	} {
		if share, whole := Divide(c.all, c.processes); share != c.share || whole != c.whole {
			t.Errorf("%d bytes for %d: %d of %d, want %d of %d", c.all, c.processes, share, whole, c.share, c.whole)
		}
	}
}

// The limits of the processes and what the parent is left add up to no more than there is.
func TestLimitsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.Int64Range(1, 1<<44).Draw(t, "all")
		n := rapid.IntRange(1, 32).Draw(t, "processes")
		share, whole := Divide(all, n)
		if share*int64(n) > whole || whole+min(parentReserve, all/reservePart) > all {
			t.Fatalf("%d bytes for %d processes: %d each of %d", all, n, share, whole)
		}
	})
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy Policy
		heap   heap
		want   settings
	}{
		"nothing is known":    {want: settings{400, math.MaxInt64}},
		"just started":        {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, want: settings{400, 900 * mib}},
		"room":                {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{100 * mib, 20 * mib}, want: settings{400, 900 * mib}},
		"half way":            {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{200 * mib, 20 * mib}, want: settings{250, 900 * mib}},
		"near":                {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{400 * mib, 20 * mib}, want: settings{100, 900 * mib}},
		"at it":               {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{720 * mib, 20 * mib}, want: settings{100, 928 * mib}},
		"beyond":              {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{1600 * mib, 32 * mib}, want: settings{100, 2032 * mib}},
		"the machine is full": {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib}, heap: heap{2600 * mib, 32 * mib}, want: settings{100, 2700 * mib}},
		"max_memory is less":  {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib, Max: 500 * mib}, heap: heap{100 * mib, 20 * mib}, want: settings{225, 900 * mib}},
		"max_memory alone":    {policy: Policy{Max: 500 * mib}, heap: heap{600 * mib, 0}, want: settings{100, math.MaxInt64}},
		"a percentage":        {policy: Policy{Share: 1000 * mib, Whole: 3000 * mib, GC: 50}, heap: heap{100 * mib, 20 * mib}, want: settings{50, 900 * mib}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.policy.choose(c.heap, 0.9); got != c.want {
				t.Errorf("%d %%, %d MiB; want %d %%, %d MiB", got.percent, got.limit/mib, c.want.percent, c.want.limit/mib)
			}
		})
	}
}

// More that is alive never lets more garbage gather, and the collector never does little
// else than to collect.
func TestChooseIsMonotonous(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Share: rapid.Int64Range(0, 1<<40).Draw(t, "share"), Max: rapid.Int64Range(0, 1<<40).Draw(t, "max")}
		p.Whole = p.Share * rapid.Int64Range(1, 8).Draw(t, "processes")
		a := heap{live: rapid.Int64Range(0, 1<<40).Draw(t, "live"), other: rapid.Int64Range(0, 1<<24).Draw(t, "other")}
		b := a
		b.live += rapid.Int64Range(0, 1<<36).Draw(t, "more")
		low, high := p.choose(a, usualRatio), p.choose(b, usualRatio)
		if high.percent > low.percent || high.limit < low.limit {
			t.Fatalf("%+v for %+v, %+v for %+v", low, a, high, b)
		}
		if low.percent < eager || low.percent > lazy {
			t.Fatalf("%+v: %+v", a, low)
		}
		if whole := int64(float64(p.Whole) * usualRatio); low.limit < a.live+a.live/4+a.other && low.limit < whole {
			t.Fatalf("%+v: limit %d, of %d", a, low.limit, whole)
		}
	})
}

func TestParseGC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"auto": 0, "": 0, "1": 1, "100": 100, "10000": 10000} {
		if got, err := ParseGC(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "-1", "off", "10001", "+5", "050", "100%", "1e2"} {
		if got, err := ParseGC(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
