// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// restore gives the test process back what it had.
func restore(t *testing.T) {
	t.Helper()
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

// current are the settings in effect.
func current() settings {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return settings{percent, debug.SetMemoryLimit(-1)}
}

//nolint:paralleltest // it sets what the process has once
func TestCollector(t *testing.T) {
	for name, c := range map[string]struct {
		env          map[string]string
		policy       Policy
		first, after settings
	}{
		"auto":         {policy: Policy{Share: 10 << 30, Whole: 30 << 30}, first: settings{100, 9 << 30}, after: settings{400, 9 << 30}},
		"little room":  {policy: Policy{Share: 1 << 20, Whole: 30 << 30}, first: settings{100, 943718}, after: settings{100, 0}},
		"percentage":   {policy: Policy{GC: 70}, first: settings{100, math.MaxInt64}, after: settings{70, math.MaxInt64}},
		"own GOGC":     {env: map[string]string{"GOGC": "100"}, policy: Policy{Share: 10 << 30, GC: 70}, first: settings{100, 9 << 30}, after: settings{100, 9 << 30}},
		"own limit":    {env: map[string]string{"GOMEMLIMIT": "1GiB"}, policy: Policy{Share: 10 << 30}, first: settings{100, math.MaxInt64}, after: settings{400, math.MaxInt64}},
		"no limit":     {env: map[string]string{"AUTOMEMLIMIT": "off"}, policy: Policy{Share: 10 << 30}, first: settings{100, math.MaxInt64}, after: settings{400, math.MaxInt64}},
		"another part": {env: map[string]string{"AUTOMEMLIMIT": "0.5"}, policy: Policy{Share: 10 << 30}, first: settings{100, 5 << 30}, after: settings{400, 5 << 30}},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv(key, value)
			}
			restore(t)
			runtime.GC() // what is alive is known from then on
			collector := NewCollector()
			collector.look()
			collector.Limit()
			if got := current(); got != (settings{100, math.MaxInt64}) {
				t.Errorf("without a policy: %+v", got)
			}
			collector.Follow(c.policy)
			collector.Limit()
			if got := current(); got != c.first {
				t.Errorf("limit alone: %+v, want %+v", got, c.first)
			}
			collector.look()
			got := current()
			if c.after.limit == 0 { // by what is alive in this process
				if got.limit <= c.first.limit {
					t.Errorf("%d bytes, which is what there is or less", got.limit)
				}
				got.limit = 0
			}
			if got != c.after {
				t.Errorf("%+v, want %+v", got, c.after)
			}
		})
	}
}
