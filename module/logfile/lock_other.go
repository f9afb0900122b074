// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix || solaris || aix

package logfile

import (
	"errors"
	"os"
)

// Shared reports whether several processes can write to one file on this system.
const Shared = false

var errLocked = errors.New("another process has the lock")

func lockShared(*os.File) error    { return nil }
func lockExclusive(*os.File) error { return nil }
func unlock(*os.File)              {}
