// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package membership keeps what the sources of a pool say of its addresses, and
// decides which of them the operator allows.
//
// Its guarantee: an address that others than the operator named passes an
// AllowList only if the operator allowed it, by its name and again by each
// address that the name resolves to; sources can take away nothing but what they
// named, and not name more than a bound. It is plain state without a clock, a
// lock or a connection: package failover makes the members of it.
package membership
