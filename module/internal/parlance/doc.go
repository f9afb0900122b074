// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package parlance holds the words that processes exchange: those between a child
// and its parent, and those with which balancers announce addresses.
//
// Its guarantee: both ends of a conversation use one definition. It holds names
// and plain data only; who says what, and when, is up to the rooms that do.
package parlance
