// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package statefile keeps what a parent must not lose when it dies itself: what
// operators decided about pools, and the requests in doubt.
//
// Its guarantee: the file holds one whole state, never a part of one, and is behind the
// parent by a tenth of a second at most while the disk takes what is written. What is
// there and cannot be read is moved aside, not overwritten. One process at a time has a
// file. It decides nothing about pools.
package statefile
