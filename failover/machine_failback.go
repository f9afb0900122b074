// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

// held reports whether a priority member that came back is kept back until it is
// home: only while there is another one to serve.
func (x *machine) held(m *Member) bool {
	if m.state != stateTrial || m.rank < 0 || !x.opt.PriorityBackup {
		return false
	}
	for _, o := range x.members {
		if o != m && o.serves() && o.state != stateTrial {
			return true
		}
	}
	return false
}

// away reports whether clients are away from a priority member that is not there.
func (x *machine) away() bool {
	if !x.opt.PriorityBackup {
		return false
	}
	missing, others := false, false
	for _, m := range x.members {
		switch {
		case m.drained || m.unproved:
		case m.rank >= 0 && (m.state == stateDown || m.state == stateTrial):
			missing = true
		case m.state != stateDown:
			others = true
		}
	}
	return missing && others
}
