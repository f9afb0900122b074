// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// searchOnly opens a directory that we may not be allowed to list.
const searchOnly = unix.O_PATH

// here is a path to the file by way of the directory that is held open.
func (f *socketFile) here() string { return fmt.Sprintf("/proc/self/fd/%d/%s", f.dir, f.name) }

// change sets the permissions and the owner of the file if check approves of it. It
// follows no link.
func (f *socketFile) change(perm uint32, uid, gid int, check func(*unix.Stat_t) error) error {
	fd, err := unix.Openat(f.dir, f.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var there unix.Stat_t
	if err := unix.Fstat(fd, &there); err != nil {
		return err
	}
	if err := check(&there); err != nil {
		return err
	}
	// What such a descriptor stands for can be changed by this path alone.
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := unix.Chmod(path, perm); err != nil {
		return err
	}
	return unix.Chown(path, uid, gid)
}

// listenerPID is the id of the process that made the peer's socket listen; 0 is
// unknown.
func listenerPID(c *net.UnixConn) (pid int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
