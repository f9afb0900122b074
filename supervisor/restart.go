// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import "time"

// Restart is the policy for the time between a child's death and the next start.
//
// The first delay is Delay, exactly. While children keep dying before they were
// ready for Reset, it doubles up to MaxDelay, and every doubled delay is spread
// by 20 % either way, so that brokers that fall together do not rise together.
// It never gives up.
type Restart struct {
	Delay    time.Duration
	MaxDelay time.Duration
	Reset    time.Duration
}

const restartJitter = 0.2

// after is the delay after the nth death in a row (1 is the first), with a
// random number in [0, 1).
func (r Restart) after(n int, random float64) time.Duration {
	if r.MaxDelay <= r.Delay || n <= 1 {
		return r.Delay
	}
	d := r.Delay
	for range n - 1 {
		if d >= r.MaxDelay {
			break
		}
		d *= 2
	}
	d = min(d, r.MaxDelay)
	return time.Duration(float64(d) * (1 - restartJitter + 2*restartJitter*random))
}
