// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin || freebsd

package socket

import (
	"net/netip"
	"os"
	goruntime "runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listening are the TCP sockets that this process listens on, found among
// its descriptors. One that is closed or replaced meanwhile does no harm: nothing
// but questions is asked about it.
func Listening() (list []netip.AddrPort, known bool) {
	path := "/dev/fd"
	if goos == "linux" {
		path = "/proc/self/fd"
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, false
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
			continue
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			continue
		}
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			list = append(list, netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
		case *unix.SockaddrInet6:
			list = append(list, netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)))
		}
	}
	return list, true
}

const goos = goruntime.GOOS
