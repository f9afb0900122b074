// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package failover gives pools of HTTP backends the failover semantics of a
// message-broker client.
//
// It holds the failover address and its options, the state machines of a pool
// and of its members, the back-off, client affinity and membership. Its
// guarantee: a member it hands out is eligible at that moment, and a request is
// never given a member it was already written to. It neither dials nor proxies:
// whoever uses it carries requests and pings, and reports how they ended.
package failover
