// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package module

import (
	"syscall"
	"time"
)

// lastHeard is unknown here.
func lastHeard(syscall.RawConn) (time.Duration, bool) { return 0, false }
