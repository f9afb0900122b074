// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"os"

	"golang.org/x/sys/unix"
)

// nameless makes a file without a name, in memory: the state has secrets.
func nameless() (*os.File, error) {
	fd, err := unix.MemfdCreate("caddy-broker-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "handover"), nil
}
