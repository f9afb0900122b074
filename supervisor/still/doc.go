// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package still finds out whether a process stands still: whether for some time none of its
// threads has run, or wanted to run.
//
// That tells a process which will not go on by itself from one that is only late: a busy
// machine leaves threads waiting for a processor, and a slow disk leaves them waiting
// uninterruptibly, and neither is standing still. An idle process is, until it is given
// something to read: one that lives wakes up for that.
//
// Where the system does not say so much of another process, nothing is found.
package still

// Finding is what was found out about a process.
type Finding uint8

const (
	// Lives is all that cannot be told from a process that lives.
	Lives Finding = iota
	// Asleep is a process whose threads all sleep, and did not wake up.
	Asleep
	// Stopped is one that a signal has stopped: it can do nothing at all, not even write
	// down what it was doing.
	Stopped
)
