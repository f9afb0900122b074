// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"math"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// minDelay is the shortest wait between two passes, whatever the options say: a
// pool without backends must never spin.
const minDelay = 10 * time.Millisecond

// shortDelay is the longest wait while a request or a client waits, unless the
// user set max_reconnect_delay.
const shortDelay = time.Second

// backoff computes the waits between passes and between probes.
type backoff struct {
	initial, max time.Duration
	exponent     float64 // 1 for constant waits
	jitter       float64 // share of the wait, to both sides
}

func newBackoff(o address.Options) backoff {
	b := backoff{
		initial:  o.InitialReconnectDelay,
		max:      o.MaxReconnectDelay,
		exponent: o.ReconnectDelayExponent,
		jitter:   o.ReconnectJitter,
	}
	if !o.UseExponentialBackOff || b.exponent < 1 {
		b.exponent = 1
	}
	return b
}

// delay is the wait before pass n, counted from 1: initial × exponentⁿ⁻¹, at
// most max, ± jitter, at least minDelay. u is a random number in [0,1).
func (b backoff) delay(n int, u float64) time.Duration {
	d := float64(b.initial) * math.Pow(b.exponent, float64(n-1))
	// Written so that 0×Inf, which is no number, takes the branch too.
	if !(d <= float64(b.max)) {
		d = float64(b.max)
	}
	d *= 1 + b.jitter*(2*u-1)
	return max(time.Duration(math.Round(d)), minDelay)
}
