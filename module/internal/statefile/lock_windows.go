// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// tryLock takes the lock, which ends with the process.
func tryLock(f *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrTaken
	}
	return err
}

// renameTime is how long a file's place may be taken by those who read the old one, such
// as a backup, and renameStep how often it is tried again.
const (
	renameTime = 2 * time.Second
	renameStep = 10 * time.Millisecond
)

// rename moves a file to the place of another. This system refuses that while the other
// one is open, so it waits a moment for those who read it.
func rename(from, to string) error {
	for end := time.Now().Add(renameTime); ; {
		err := os.Rename(from, to)
		open := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !open || time.Now().After(end) {
			return err
		}
		<-time.After(renameStep)
	}
}

// syncDir does nothing: this system syncs no folders.
func syncDir(string) error { return nil }
