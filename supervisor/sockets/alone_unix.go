// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package sockets

import (
	"context"
	"net"
)

// openNet opens a socket that others of the same user may share: on this system that
// cannot be allowed afterwards.
func openNet(ctx context.Context, network, address string) (netSocket, error) {
	return listenNet(ctx, &net.ListenConfig{Control: reusePort}, network, address)
}
