// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package users finds users of the system as whom processes run.
//
// Its guarantee: who is not found, or where the system has no such users, is an error,
// never this process's own user.
package users

// User is a user as a process needs it.
type User struct {
	UID, GID uint32
	// Groups are all of the user's, the primary one included.
	Groups []uint32
	Home   string
}
