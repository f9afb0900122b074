// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package sources keeps the members of a pool in step with its sources of
// addresses: a list at update_uris_url, what backends announce, and what an agent
// finds by multicast DNS.
//
// Its guarantee: a source can neither make a member of an address that the
// operator did not allow nor take away one that another source or the operator
// named; what it says is bounded in size, number and pace, and a word that is
// wrong leaves things as they were. It decides neither what is allowed nor how
// backends are reached: it asks through Backends, and dials none itself.
package sources
