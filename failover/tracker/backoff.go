// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// MinDelay is the shortest wait between two passes, whatever the options say: a
// pool without backends must never spin.
const MinDelay = 10 * time.Millisecond

// ShortDelay is the longest wait while a request or a client waits, unless the
// user set max_reconnect_delay.
const ShortDelay = time.Second

// Backoff computes the waits between passes and between probes.
type Backoff struct {
	initial, max time.Duration
	exponent     float64 // 1 for constant waits
	jitter       float64 // share of the wait, to both sides
}

// NewBackoff is the back-off of the options.
func NewBackoff(o address.Options) Backoff {
	b := Backoff{
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

// Delay is the wait before pass n, counted from 1: initial × exponentⁿ⁻¹, at
// most max, ± jitter, at least minDelay. u is a random number in [0,1).
func (b Backoff) Delay(n int, u float64) time.Duration {
	d := float64(b.initial) * math.Pow(b.exponent, float64(n-1))
	// Written so that 0×Inf, which is no number, takes the branch too.
	if !(d <= float64(b.max)) {
		d = float64(b.max)
	}
	d *= 1 + b.jitter*(2*u-1)
	return max(time.Duration(math.Round(d)), MinDelay)
}
