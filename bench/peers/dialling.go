// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sockDiagByFamily is SOCK_DIAG_BY_FAMILY: both the question and the type of its
// answers.
const sockDiagByFamily = 20

// Dialling is how many TCP connections to an IPv4 address wait for the answer to
// their first packet. It asks the kernel for them alone, see sock_diag(7): to read
// all of /proc/net/tcp, with every connection that was closed in the last minute,
// takes so long that it disturbs what is measured.
func Dialling(addr string) (int, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("asking the kernel for sockets: %w", err)
	}
	defer unix.Close(fd)
	if err = unix.Sendto(fd, diagRequest(to.Port()), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("asking the kernel for sockets: %w", err)
	}
	buf := make([]byte, 1<<16)
	for count := 0; ; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return 0, fmt.Errorf("reading the kernel's sockets: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return 0, fmt.Errorf("reading the kernel's sockets: %w", err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return count, nil
			case unix.NLMSG_ERROR:
				return 0, errors.New("the kernel refuses to list sockets")
			case sockDiagByFamily:
				count++
			}
		}
	}
}

// diagRequest asks for the connections to the port that wait for the answer to
// their first packet: struct nlmsghdr and struct inet_diag_req_v2.
func diagRequest(port uint16) []byte {
	const size = unix.SizeofNlMsghdr + 56
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = append(b, make([]byte, 8)...) // sequence and sender
	b = append(b, unix.AF_INET, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 1<<unix.BPF_TCP_SYN_SENT)
	b = binary.BigEndian.AppendUint16(b, 0) // any port of ours
	b = binary.BigEndian.AppendUint16(b, port)
	return b[:size]
}
