// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package policyconfig holds the configuration of the failover policy: its fields
// in JSON, its block in a Caddyfile, and what a failover address says of them.
//
// Its guarantee: whatever way an option is given, it goes through the table of
// package address, so that names, bounds and errors are the same in all. It checks
// options against the upstreams of a handler, and makes no pool of them: that is
// the business of the policy, which embeds Config.
package policyconfig
