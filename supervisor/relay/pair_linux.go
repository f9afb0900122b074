// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// buffer is how many bytes may be on their way, as far as the system allows.
const buffer = 1 << 20

// pair makes the two ends of a way. Its messages have bounds, as datagrams do; unlike
// those of a datagram socket they are not limited to ten.
func pair() (reader, replaced int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("making a way for datagrams: %w", err)
	}
	_ = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
	return fds[0], fds[1], nil
}

func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) }

func closeFD(fd int) { _ = unix.Close(fd) }
