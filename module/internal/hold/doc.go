// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package hold answers users in the place of a child whose next start is far away: 503,
// and when to come back. It takes little of the process that does, whatever comes.
package hold
