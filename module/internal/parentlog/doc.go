// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package parentlog has the encoder of the log of a process that supervises: the one that
// the user has chosen, or Caddy's own, without an entry for each request by which the
// broker is asked how it is.
//
// Its guarantee: nothing else is left out, and what is not left out is written as without
// this encoder.
package parentlog
