// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package socket

import (
	"syscall"
	"time"
)

// LastHeard is unknown here.
func LastHeard(syscall.RawConn) (time.Duration, bool) { return 0, false }
