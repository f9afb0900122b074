// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net"
	"syscall"
	"time"
)

// tuneConn makes the system notice a peer that is gone without a word after
// about as long as a backend may be silent: keep-alive probes find it on an idle
// connection, and unacknowledged data ends a busy one.
func tuneConn(nc net.Conn, silence time.Duration) {
	tc, ok := nc.(interface {
		SetKeepAliveConfig(cfg net.KeepAliveConfig) error
	})
	if !ok || silence <= 0 {
		return
	}
	const probes = 3
	step := max(silence/probes, time.Second)
	_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: step, Interval: step, Count: probes - 1})
	if raw := rawConnOf(nc); raw != nil {
		setUserTimeout(raw, silence)
	}
}

// rawConnOf finds the system's socket below a connection, nil when there is none.
func rawConnOf(nc net.Conn) syscall.RawConn {
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
