// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpEstablished is the state of a TCP connection of which no side has closed.
const tcpEstablished = 1

// PeerPresent reports whether the peer has neither closed nor reset the
// connection. One that has closed its sending side counts as gone, as it does for
// net/http wherever it looks.
func PeerPresent(raw syscall.RawConn) bool {
	present := true
	err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		present = err != nil || info.State == tcpEstablished
	})
	return present && err == nil
}
