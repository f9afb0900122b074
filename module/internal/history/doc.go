// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package history remembers what has happened in the last hour: the last events, the
// states of each child, and how many requests each pool and each upstream had, how many
// failed and how long they took, in steps of ten seconds.
//
// It takes a bounded amount of memory, whatever is told to it: the oldest is forgotten,
// and where there are more upstreams than it has room for, the later ones have no
// history. It judges nothing. A program that takes this one's place in the same process goes
// on with it.
package history
