// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/pires/go-proxyproto"
)

// personal reports whether each connection belongs to one client: the PROXY
// protocol names it there, or TLS asks for a name that depends on its request.
func (w *Way) personal() bool {
	return w.nameless || w.base != nil && w.base.ProxyProtocol != ""
}

// ownDialer is how connections are made that belong to no client: pings, and what
// else the balancer asks its backends. With the PROXY protocol Caddy's dialer needs
// a client; these say that they come from the balancer itself.
func (w *Way) ownDialer(ctx caddy.Context, dial dialer) (dialer, error) {
	if w.base.ProxyProtocol == "" {
		return dial, nil
	}
	base := *w.base
	base.ProxyProtocol = ""
	plain, err := base.NewTransport(ctx)
	if err != nil {
		return nil, fmt.Errorf("provisioning transport for pings: %w", err)
	}
	version := byte(2)
	if w.base.ProxyProtocol == "v1" {
		version = 1
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			_ = nc.SetDeadline(deadline)
		}
		if _, err := proxyproto.HeaderProxyFromAddrs(version, nc.LocalAddr(), nc.RemoteAddr()).WriteTo(nc); err != nil {
			_ = nc.Close()
			return nil, reverseproxy.NewDialError(err)
		}
		return nc, nil
	}, nil
}
