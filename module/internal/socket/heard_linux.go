// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LastHeard is how long ago the system received the peer's last data, or the
// connection itself: 0 if some of it was not read yet. ok is false where the
// system does not tell.
func LastHeard(raw syscall.RawConn) (ago time.Duration, ok bool) {
	_ = raw.Control(func(fd uintptr) {
		if unread, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil && unread > 0 {
			ago, ok = 0, true
			return
		}
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			ago, ok = time.Duration(info.Last_data_recv)*time.Millisecond, true
		}
	})
	return ago, ok
}
