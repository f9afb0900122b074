// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"os/user"
	"strconv"
	"syscall"
)

// setUser makes the process run as name with all of that user's groups.
func (p *process) setUser(name string) error {
	if name == "" {
		return nil
	}
	id, err := LookupUser(name)
	if err != nil {
		return err
	}
	p.uid = int(id.UID)
	p.attr().Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID, Groups: id.Groups}
	for _, v := range [][2]string{{"HOME", id.Home}, {"USER", name}, {"LOGNAME", name}} {
		p.cmd.Env = SetEnv(p.cmd.Env, v[0], v[1])
	}
	return nil
}

// Identity is a user as a process needs it.
type Identity struct {
	UID, GID uint32
	// Groups are all of the user's, the primary one included.
	Groups []uint32
	Home   string
}

// LookupUser finds a user of this system by name.
func LookupUser(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, fmt.Errorf("looking up user %q: %w", name, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return Identity{}, fmt.Errorf("looking up groups of user %q: %w", name, err)
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, s := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return Identity{}, fmt.Errorf("looking up user %q: id %q is not a number", name, s)
		}
		ids = append(ids, uint32(n))
	}
	return Identity{UID: ids[0], GID: ids[1], Groups: ids[2:], Home: u.HomeDir}, nil
}
