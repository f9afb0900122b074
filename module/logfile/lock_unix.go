// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !solaris && !aix

package logfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Shared reports whether several processes can write to one file on this system.
const Shared = true

// errLocked is the answer when another process has the lock. Any other error is that of
// a file system without locks: what cannot be locked is written all the same.
var errLocked = errors.New("another process has the lock")

func lockShared(f *os.File) error    { return lock(f, unix.LOCK_SH) }
func lockExclusive(f *os.File) error { return lock(f, unix.LOCK_EX) }

func lock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
