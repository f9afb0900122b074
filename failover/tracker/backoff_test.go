// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

func TestBackoffDelays(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		change func(*address.Options)
		want   []time.Duration // before pass 1, 2, …
	}{
		{"defaults", func(*address.Options) {}, []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms}},
		{"cap", func(o *address.Options) { o.InitialReconnectDelay, o.MaxReconnectDelay = 100*ms, 500*ms }, []time.Duration{100 * ms, 200 * ms, 400 * ms, 500 * ms, 500 * ms}},
		{"the cap holds for the first wait too", func(o *address.Options) { o.InitialReconnectDelay, o.MaxReconnectDelay = 900*ms, 500*ms }, []time.Duration{500 * ms, 500 * ms}},
		{"exponential off", func(o *address.Options) { o.InitialReconnectDelay, o.UseExponentialBackOff = 70*ms, false }, []time.Duration{70 * ms, 70 * ms, 70 * ms}},
		{"exponent of one and a half", func(o *address.Options) { o.InitialReconnectDelay, o.ReconnectDelayExponent = 100*ms, 1.5 }, []time.Duration{100 * ms, 150 * ms, 225 * ms, 337500 * time.Microsecond}},
		{"zero never spins", func(o *address.Options) { o.InitialReconnectDelay = 0 }, []time.Duration{10 * ms, 10 * ms, 10 * ms}},
		{"small waits grow too", func(o *address.Options) { o.InitialReconnectDelay = 5 * ms }, []time.Duration{10 * ms, 10 * ms, 20 * ms, 40 * ms}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := address.DefaultOptions()
			o.ReconnectJitter = 0
			test.change(&o)
			b := NewBackoff(o)
			for i, want := range test.want {
				if got := b.Delay(i+1, 0.9); got != want {
					t.Errorf("before pass %d: %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

// Whatever the options are, the waits are bounded, and jitter stays in its share.
func TestBackoffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := address.DefaultOptions()
		o.InitialReconnectDelay = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "initial"))
		o.MaxReconnectDelay = time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "max"))
		o.ReconnectDelayExponent = rapid.Float64Range(1, 100).Draw(t, "exponent")
		o.UseExponentialBackOff = rapid.Bool().Draw(t, "exponential")
		o.ReconnectJitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
		n := rapid.IntRange(1, math.MaxInt32).Draw(t, "n")
		u := rapid.Float64Range(0, 0.999999).Draw(t, "u")
		got := NewBackoff(o).Delay(n, u)
		exact := o
		exact.ReconnectJitter = 0
		plain := NewBackoff(exact).Delay(n, u)
		if got < MinDelay {
			t.Fatalf("%v is shorter than %v", got, MinDelay)
		}
		if most := max(o.MaxReconnectDelay, MinDelay); plain > most {
			t.Fatalf("%v without jitter is longer than %v", plain, most)
		}
		slack := time.Duration(float64(plain)*o.ReconnectJitter) + 1
		if got > max(plain+slack, MinDelay) || got < plain-slack && got != MinDelay {
			t.Fatalf("%v is not within %v of %v", got, slack, plain)
		}
		if next := NewBackoff(exact).Delay(n+1, u); next < plain {
			t.Fatalf("the wait shrinks from %v to %v", plain, next)
		}
	})
}
