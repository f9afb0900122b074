// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package users

import (
	"fmt"
	"os/user"
	"strconv"
)

// Lookup finds a user of this system by name.
func Lookup(name string) (User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, fmt.Errorf("looking up user %q: %w", name, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("looking up groups of user %q: %w", name, err)
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, s := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return User{}, fmt.Errorf("looking up user %q: id %q is not a number", name, s)
		}
		ids = append(ids, uint32(n))
	}
	return User{UID: ids[0], GID: ids[1], Groups: ids[2:], Home: u.HomeDir}, nil
}
