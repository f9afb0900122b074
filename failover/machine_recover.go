// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "github.com/caddy-broker/caddy-broker/failover/tracker"

// revive notes that a member which was down answered a ping.
func (x *machine) revive(m *Member) {
	if m.unproved {
		if m.early.IsZero() {
			m.early = x.now
		}
		return // prove decides
	}
	x.set(m, stateTrial)
	m.back = x.now
	m.failback.Begin(x.now)
	m.base, m.delay = x.now, tracker.ShortDelay
}

// restoreToService puts a member up that is known to work.
func (x *machine) restoreToService(m *Member) {
	home := m.state == stateTrial && m.rank >= 0
	away := x.tellResumed(m, home && x.anyOther(m))
	x.set(m, stateUp)
	if home {
		m.failback.Done(x.now)
		x.tellHome(m, away)
	}
}

// forgive forgets the last error of a member that is up, is put back or is gone: it
// belonged to the state before. As the pool's last error that of another member
// stays.
func (x *machine) forgive(m *Member) {
	was := m.err
	m.err = nil
	if x.lastErr != was && x.lastErr != noAddresses {
		return
	}
	x.lastErr = nil
	for _, o := range x.members {
		if o.err != nil {
			x.lastErr = o.err
		}
	}
}
