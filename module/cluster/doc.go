// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster makes a broker one of a network of brokers, which find each
// other by gossip, and keeps what a process knows of that network.
//
// Its guarantee: what others say of themselves is used only as addresses that can
// be read, and every address of the network is known as one that is never to be a
// backend. The node lives in the parent; processes that serve are told the state,
// which each request may read without a lock. It neither talks to clients nor
// changes a pool: those who do ask it.
package cluster
