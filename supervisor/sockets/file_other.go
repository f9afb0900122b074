// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package sockets

import (
	"net"

	"golang.org/x/sys/unix"
)

const searchOnly = unix.O_RDONLY

// here is the file's path: these systems have none by way of an open directory.
func (f *socketFile) here() string { return f.path }

// change sets the permissions and the owner of the file if check approves of it. It
// follows no link.
func (f *socketFile) change(perm uint32, uid, gid int, check func(*unix.Stat_t) error) error {
	var there unix.Stat_t
	if err := unix.Fstatat(f.dir, f.name, &there, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := check(&there); err != nil {
		return err
	}
	if err := unix.Fchmodat(f.dir, f.name, perm, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.Fchownat(f.dir, f.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// processName has nothing to go by on these systems.
func processName(int) string { return "another process" }

// listenerPID is unknown: what serves is another process's.
func listenerPID(*net.UnixConn) int { return 0 }
