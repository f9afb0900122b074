// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package failover gives pools of HTTP backends the failover semantics of a
// message-broker client.
//
// It holds the state machines of a pool and of its members; the address and its
// options are in package address, the clients' keys and exceptions in package
// affinity, what sources say of a pool's members in package membership, the back-off
// and other counters in package tracker. Its guarantee: a member it hands out is
// eligible at that moment, and a request is never given a member it was already
// written to, except once to make up for a stale connection. It neither dials nor proxies:
// its user carries requests and pings, and reports how they ended.
package failover
