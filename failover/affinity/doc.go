// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package affinity says which member of a list a client belongs to.
//
// It hashes clients to keys, scores members for them, and remembers the exceptions:
// the clients that were moved elsewhere. Its guarantee: what a client gets depends on
// its key and the names of the members alone, and all that is stored is bounded. It
// knows no pool and no state of a member.
package affinity
