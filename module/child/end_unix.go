// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminate ends this process in Caddy's own way: apps stopped, locks released,
// exit hooks run.
func terminate() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) }
