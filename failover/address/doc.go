// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package address reads what operators and backends write: failover addresses
// with their options, the addresses of backends, and lists of them.
//
// Its guarantee: what it returns is complete and in one spelling, so that equal
// addresses have equal keys, and whatever does not follow the grammar is an error
// that names the text and the way out. The table of options is the one source of
// their names, defaults and bounds; docs are made from it. It neither resolves nor
// dials, and does not decide whether an address may be used: that is the business
// of package membership.
package address
