// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package halog is the high-availability log: a small file with a line for each step in the
// life of a child, whose codes those who search such files know.
//
// Its guarantee: a file that cannot be written costs a warning and never the service. What
// is worth a line is its user's business.
package halog
