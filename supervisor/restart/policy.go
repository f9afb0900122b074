// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package restart

import "time"

// Policy is one for the time between a child's death and the next start.
//
// The first delay is Delay, exactly. While children keep dying before they were
// ready for Reset, it doubles up to MaxDelay, and every doubled delay is spread
// by 20 % either way, never beyond MaxDelay, so that brokers that fall together
// do not rise together. A MaxDelay not above Delay makes it always Delay. It
// never gives up. From the second death in a row on, a Delay of 0 counts as
// 100 ms, so that a program that cannot run does not keep a processor busy.
type Policy struct {
	Delay    time.Duration
	MaxDelay time.Duration
	Reset    time.Duration
}

const jitter = 0.2

// MinDelay is what no delay counts as from the second death in a row on.
const MinDelay = 100 * time.Millisecond

// After is the delay after the nth death in a row (1 is the first), with a
// random number in [0, 1).
func (r Policy) After(n int, random float64) time.Duration {
	if n <= 1 {
		return r.Delay
	}
	d := r.Delay
	if d <= 0 {
		d = MinDelay
	}
	if r.MaxDelay <= r.Delay {
		return d
	}
	for range n - 1 {
		if d > r.MaxDelay/2 {
			d = r.MaxDelay
			break
		}
		d *= 2
	}
	low := float64(d) * (1 - jitter)
	high := min(float64(d)*(1+jitter), float64(r.MaxDelay))
	return min(time.Duration(low+(high-low)*random), r.MaxDelay)
}
