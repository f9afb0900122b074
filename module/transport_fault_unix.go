// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package module

import (
	"errors"
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

func isLocalFault(err error) bool {
	return slices.ContainsFunc(localFaults, func(e syscall.Errno) bool { return errors.Is(err, e) })
}
