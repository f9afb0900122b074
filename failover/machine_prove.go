// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// leftTime is how long an address that came at run time and has answered waits for
// those before it in the list, while nothing serves. Without it all clients of an
// ordered list would be, and stay, on whichever answered its first ping first.
const leftTime = 250 * time.Millisecond

// prove lets addresses that came at run time and have answered serve.
func (x *machine) prove() {
	over := slices.ContainsFunc(x.members, func(m *Member) bool {
		return !m.early.IsZero() && x.now.Sub(m.early) >= leftTime
	})
	for _, m := range x.members { // in order, so that the first one is that which serves first
		if m.early.IsZero() || !over && x.behind(m) {
			continue
		}
		m.unproved, m.early = false, time.Time{}
		x.set(m, stateUp)
		m.home = x.calls(m)
	}
}

// behind reports whether the place of a member in the list counts, nothing serves
// yet, and a member before it may still answer.
func (x *machine) behind(m *Member) bool {
	if x.opt.Randomize || x.online() {
		return false
	}
	for _, o := range x.members {
		if o == m {
			return false
		}
		if o.pings > 0 && o.unproved && o.early.IsZero() && !o.drained {
			return true
		}
	}
	return false
}
