// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// watch follows a member with requests in progress, to tell a hung one from a
// slow one.
type watch struct {
	reads, writes uint64
	quiet         time.Time // since when nothing has come from it; zero when nobody waits
}

// answered notes an answered ping: a byte from the backend like any other.
func (w *watch) answered(now time.Time) {
	if !w.quiet.IsZero() {
		w.quiet = now
	}
}

// observe looks at one member's counters.
func (x *machine) observe(m *Member) {}
