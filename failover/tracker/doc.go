// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package tracker has what a pool follows over time, as values that only their
// inputs change: the passes over members that are down and the back-off between
// them, the way of a member back home, the gate for those that waited, the watch
// over a member that gives no sign of life, and when counters are looked at.
//
// Its guarantee: nothing in it reads a clock, waits, locks or calls anything but
// what it was given. It knows no members; the machine of package failover owns the
// values and carries out what they say. DialQueue alone is for many goroutines,
// which wait in it for their turn.
package tracker
