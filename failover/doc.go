// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package failover gives pools of HTTP backends the failover semantics of a
// message-broker client.
//
// It holds the state machines of a pool and of its members, the back-off and
// client affinity; the address and its options are in package address, what
// sources say of a pool's members in package membership. Its guarantee: a member it hands out is eligible at that moment, and a request is
// never given a member it was already written to. It neither dials nor proxies:
// its user carries requests and pings, and reports how they ended.
package failover
