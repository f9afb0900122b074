// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// alone refuses an admin endpoint of which another process has a share: half of all
// commands would go to that one. It is called right before Caddy opens the endpoint,
// which it shares with every process of the same user.
func alone(ctx caddy.Context, app *broker.App) error {
	if app.AdminListen == "" {
		return nil
	}
	listen, err := caddy.NewReplacer().ReplaceOrErr(app.AdminListen, true, true)
	if err != nil {
		return nil //nolint:nilerr // Caddy says it
	}
	address, err := caddy.ParseNetworkAddress(listen)
	if err != nil || address.PortRangeSize() != 1 {
		return nil //nolint:nilerr // Caddy says it
	}
	host := address.JoinHostPort(0)
	if address.IsUnixNetwork() {
		host, _, _ = strings.Cut(address.Host, "|") // permission bits follow
	}
	if err := sockets.Available(ctx, address.Network, host); errors.Is(err, syscall.EADDRINUSE) { // Caddy says all else
		return fmt.Errorf("opening the admin endpoint %s: %w (global option admin)", listen, err)
	}
	return nil
}
