// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tuneTCP sets no more than is needed, because every call counts where connections
// are not kept: the limit for unacknowledged data counts for probes, too, in place
// of their number.
func tuneTCP(nc net.Conn, tc keepAlive, silence time.Duration, enable bool) {
	step := probeStep(silence)
	if enable {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: step, Interval: step, Count: -1})
	}
	raw := Raw(nc)
	if raw == nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		set := func(option, value int) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) }
		set(unix.TCP_USER_TIMEOUT, int(silence/time.Millisecond))
		if !enable {
			seconds := int(math.Ceil(step.Seconds()))
			set(unix.TCP_KEEPIDLE, seconds)
			set(unix.TCP_KEEPINTVL, seconds)
		}
	})
}
