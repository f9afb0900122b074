// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package users

import (
	"errors"
	"fmt"
)

// Lookup is not supported on this system.
func Lookup(name string) (User, error) {
	return User{}, fmt.Errorf("looking up user %q: %w", name, errors.ErrUnsupported)
}
