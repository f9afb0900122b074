// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package control

// Mode is how a child is stopped.
type Mode string

// The two modes.
const (
	// Immediate takes nothing new, lets requests in progress finish, interrupts
	// those that only wait to receive, then ends.
	Immediate Mode = "immediate"
	// Force cuts everything; the child is gone within a second.
	Force Mode = "force"
)
