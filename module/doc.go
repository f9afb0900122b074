// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package module holds the Caddy modules of this plugin: the app that
// supervises broker processes, the child they run, the listener networks they
// share, the selection policy with the transport wrapper that applies failover
// semantics to reverse_proxy, and their admin API, commands, events and metrics.
//
// Its guarantee: it is thin where others decide. Processes are the business of
// package supervisor, pools and their members that of package failover; what is
// here carries their decisions out inside Caddy. It does not parse sites or
// configure servers: every handler stays Caddy's own.
package module
