// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/caddyserver/caddy/v2"
)

// LoopbackOrigins are the origins that Caddy allows by itself at an admin endpoint that
// other machines cannot reach; nil for every other endpoint.
func LoopbackOrigins(listen string) []string {
	a, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceAll(listen, ""))
	if err != nil || a.IsUnixNetwork() || a.IsFdNetwork() || a.PortRangeSize() != 1 {
		return nil
	}
	if ip, err := netip.ParseAddr(a.Host); a.Host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil
	}
	var origins []string
	for _, host := range []string{"localhost", "::1", "127.0.0.1"} {
		origins = append(origins, net.JoinHostPort(host, strconv.FormatUint(uint64(a.StartPort), 10)))
	}
	return origins
}
