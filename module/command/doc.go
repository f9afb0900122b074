// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package command has the commands `caddy broker …`.
//
// Its guarantee: `run` without --ha is `caddy run`, and every other command is one
// request to the admin API of a running broker, so that a script can do the same
// without it. It holds no state of a broker.
package command
