// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// plainSockets are the held sockets ("network/address") on which a child serves
// plain HTTP/1 without listener wrappers: those on which its parent can answer.
func plainSockets() []string {
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil
	}
	servers, ok := app.(*caddyhttp.App)
	if !ok {
		return nil
	}
	httpPort := uint(servers.HTTPPort)
	if httpPort == 0 {
		httpPort = caddyhttp.DefaultHTTPPort
	}
	var out []string
	for _, srv := range servers.Servers {
		if len(srv.ListenerWrappersRaw) > 0 {
			continue
		}
		for _, listen := range srv.Listen {
			addr, err := caddy.ParseNetworkAddress(listen)
			real, ours := networks[addr.Network]
			if err != nil || !ours || datagram(real) {
				continue
			}
			for i := range addr.PortRangeSize() {
				if len(srv.TLSConnPolicies) > 0 && addr.StartPort+i != httpPort {
					continue
				}
				address, _, err := socketAddress(real, addr.Host, strconv.Itoa(int(addr.StartPort)), i)
				if err == nil {
					out = append(out, real+"/"+address)
				}
			}
		}
	}
	return out
}
