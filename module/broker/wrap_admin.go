// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"maps"
	"net"
	"net/netip"
	"strconv"

	"github.com/caddyserver/caddy/v2"
)

// browsable lets a browser open the console at an admin endpoint on loopback. A browser
// that is told to go to an address names no origin, and that is one which Caddy allows
// nobody unless it is among the origins. What else that would open is closed again by
// package admin, which answers a request without an origin for the console alone.
//
// Origins that the user gives, or wants to be enforced, stay as they are.
func browsable(value any, listen string) any {
	admin, ok := value.(object)
	if !ok && value != nil {
		return value // Caddy says what it makes of that
	}
	admin, err := spelled(admin, "origins", "enforce_origin")
	if err != nil {
		return value
	}
	enforced, _ := admin["enforce_origin"].(bool)
	port, loopback := loopbackPort(listen)
	if admin["origins"] != nil || enforced || !loopback {
		return value
	}
	admin = maps.Clone(admin)
	if admin == nil {
		admin = object{}
	}
	var origins []any
	for _, host := range []string{"localhost", "::1", "127.0.0.1"} { // as Caddy has them by itself
		origins = append(origins, net.JoinHostPort(host, port))
	}
	admin["origins"] = append(origins, "")
	return admin
}

// loopbackPort is the port of an admin endpoint that other machines cannot reach.
func loopbackPort(listen string) (port string, loopback bool) {
	a, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceAll(listen, ""))
	if err != nil || a.IsUnixNetwork() || a.IsFdNetwork() || a.PortRangeSize() != 1 {
		return "", false
	}
	ip, err := netip.ParseAddr(a.Host)
	return strconv.FormatUint(uint64(a.StartPort), 10), a.Host == "localhost" || err == nil && ip.IsLoopback()
}
