// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package module holds the Caddy modules of this plugin, each in a package of its
// own below this one. Importing this package registers all of them.
//
//		command ──┐
//		admin ────┼→ broker ──→ child ──→ proxy ──→ reach ──→ policyconfig, sources
//		announce ─┘    │          │         │
//		               └──────────┴─────────┴─────→ cluster
//
//	  - command has the commands `caddy broker …`, admin the API under /broker/, and
//	    announce the handler broker_uris; nothing imports them.
//	  - broker is the parent: the app that supervises children.
//	  - child is a supervised process: its listeners, its end, its sign of life.
//	  - proxy is the selection policy with the transport wrapper, and the pools; reach is
//	    how a handler reaches its backends: connections, pings, what is held ready.
//	  - policyconfig reads the policy's options, sources keeps the members of a pool
//	    in step with lists, backends and multicast DNS, and cluster keeps what is
//	    known of other brokers.
//	  - internal has what several of them need, without a state of the process.
//
// Each variable of the whole process belongs to one of these packages, which
// offers functions to the others.
//
// Its guarantee: it is thin where others decide. Processes are the business of
// package supervisor, pools and their members that of package failover; what is
// here carries their decisions out inside Caddy. It does not parse sites or
// configure servers: every handler stays Caddy's own.
package module
