// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

// counts are what metrics tell of the machine.
type counts struct {
	attempts  uint64
	failovers map[string]uint64
	refused   map[Reason]uint64
}
