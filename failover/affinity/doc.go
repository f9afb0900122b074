// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package affinity says which member of a list is a client's own, and remembers
// which clients are elsewhere.
//
// Its guarantee: the order of the members for a client depends only on the client's
// key and the members' names, so it is the same in every process; what is remembered
// is bounded. It knows no states: whether a member may be chosen is for its caller.
package affinity
