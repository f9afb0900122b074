// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package socket

import (
	"net"
	"time"
)

// tuneTCP sets the probes; the system has no limit for unacknowledged data, or none
// we set.
func tuneTCP(_ net.Conn, tc keepAlive, silence time.Duration, _ bool) {
	step := probeStep(silence)
	_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: step, Interval: step, Count: 2})
}
