// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"os"

	"golang.org/x/sys/unix"
)

// create makes a page that is memory. A child cannot change its size: it would be
// ended by the system when it writes to what is not there any more.
func create() (*os.File, error) {
	fd, err := unix.MemfdCreate("caddy-broker-account", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return createFile()
	}
	page := os.NewFile(uintptr(fd), "caddy-broker-account")
	if err := page.Truncate(Size); err != nil {
		_ = page.Close()
		return nil, err
	}
	_, err = unix.FcntlInt(page.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return page, err
}
