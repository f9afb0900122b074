// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pair makes the two ends of a stream that nothing else can reach: ours, and one to give
// away, which the caller closes with [CloseFD].
func Pair() (ours net.Conn, theirs int, err error) {
	syscall.ForkLock.RLock() // no process that is started at this moment inherits them
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, fmt.Errorf("making a pair of sockets: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "pair") //nolint:gosec // a descriptor
	defer file.Close()
	ours, err = net.FileConn(file)
	if err != nil {
		CloseFD(fds[1])
		return nil, -1, fmt.Errorf("making a pair of sockets: %w", err)
	}
	return ours, fds[1], nil
}
