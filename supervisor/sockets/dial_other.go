// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sockets

import (
	"context"
	"net"
)

// DialPrivate connects to a unix socket. This system does not tell by which process it
// is answered.
func DialPrivate(ctx context.Context, path string, _ int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
