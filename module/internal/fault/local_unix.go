// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package fault

import (
	"errors"
	"net"
	"slices"
	"syscall"
)

// localFaults are what dialling fails with when this machine, not the backend,
// is at fault: no descriptor, no port or no memory. What is forbidden may be so
// for one backend only, and counts as its refusal.
var localFaults = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE,
	syscall.ENOBUFS, syscall.ENOMEM,
}

// IsRefusal reports whether the host of a backend has said that nobody listens
// there; a socket file that is gone says the same of this machine.
func IsRefusal(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ENOENT) && errors.As(err, &op) && op.Net == "unix"
}

// IsLocal reports whether an error is a fault of this machine: descriptors, ports, memory.
func IsLocal(err error) bool {
	return slices.ContainsFunc(localFaults, func(e syscall.Errno) bool { return errors.Is(err, e) })
}
