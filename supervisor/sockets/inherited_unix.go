// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inherited are the sockets for users that this process was started with, by
// descriptor, as systemd and others hand them over. A child is lent these, never
// what this process has opened itself.
var inherited = inheritedSockets()

func inheritedSockets() map[int]fileID {
	found := make(map[int]fileID)
	entries, _ := os.ReadDir("/dev/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && forUsers(fd) && !store.has(fd) {
			found[fd] = idOf(fd)
		}
	}
	return found
}

// keepFromChildren lets no process started from now on inherit them: it would take
// them along without its supervisor, and hold them open.
func keepFromChildren() {
	for fd, want := range inherited {
		if idOf(fd) == want {
			unix.CloseOnExec(fd)
		}
	}
}

// forUsers reports whether fd is a socket that listens or receives datagrams.
func forUsers(fd int) bool {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_DGRAM {
		return true
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && listens != 0
}

// idOf identifies the file that fd is; the zero value is none.
func idOf(fd int) fileID {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return fileID{}
	}
	return fileIDOf(&st)
}

// keepInherited keeps descriptor number if it is still the socket that this
// process was started with: the number may be another file's by now.
func (s *socket) keepInherited(number string) error {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("inheriting descriptor %q: not a number", number)
	}
	want, ok := inherited[fd]
	if ok {
		if err := s.keep(fd); err != nil {
			return err
		}
		if idOf(s.fd) == want {
			return nil
		}
		_ = unix.Close(s.fd)
	}
	return fmt.Errorf("inheriting descriptor %d: it is no listening or datagram socket that the broker was started with; use one that systemd gave it (they begin at 3), or a host and port", fd)
}
