// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package module

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing: the system has no such limit, or none we set.
func setUserTimeout(syscall.RawConn, time.Duration) {}
