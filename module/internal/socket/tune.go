// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"net"
	"syscall"
	"time"
)

// keepAlive is a connection that can probe its peer: TCP, whatever is around it.
type keepAlive interface {
	SetKeepAliveConfig(cfg net.KeepAliveConfig) error
}

// Tune makes the system notice a peer that is gone without a word after
// about as long as a backend may be silent: keep-alive probes find it on an idle
// connection, and unacknowledged data ends a busy one. enable is for a connection
// that was dialled without probes.
func Tune(nc net.Conn, silence time.Duration, enable bool) {
	if tc, ok := nc.(keepAlive); ok && silence > 0 {
		tuneTCP(nc, tc, silence, enable)
	}
}

// probeStep is the time between two of three probes within silence.
func probeStep(silence time.Duration) time.Duration { return max(silence/3, time.Second) }

// Raw finds the system's socket below a connection, nil when there is none.
func Raw(nc net.Conn) syscall.RawConn {
	for nc != nil {
		if s, ok := nc.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = below.NetConn()
	}
	return nil
}
