// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"slices"
)

var (
	// thisNetwork is 0.0.0.0/8, which some systems take as this machine.
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	// broadcast reaches every machine of the network.
	broadcast = netip.MustParseAddr("255.255.255.255")

	// metadata has the services that tell a machine in a cloud its secrets, apart from
	// those that are link-local.
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // Amazon
		netip.MustParseAddr("fd00:ec2::23"),    // Amazon, for pods
		netip.MustParseAddr("fd20:ce::254"),    // Google
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("192.0.0.192"),     // Oracle
		netip.MustParseAddr("168.63.129.16"),   // Azure
	}

	// The IPv6 networks whose addresses carry an IPv4 address, as translators
	// (RFC 6052, RFC 8215) and tunnels have them.
	nat64          = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local     = netip.MustParsePrefix("64:ff9b:1::/48") // here with the address at the end
	ipv4Compatible = netip.MustParsePrefix("::/96")
	ipv4Translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour      = netip.MustParsePrefix("2002::/16")
	teredo         = netip.MustParsePrefix("2001::/32")
)

// isSpecial reports whether an address, or the one that it leads to, is none of a
// backend on another machine.
func isSpecial(ip netip.Addr) bool {
	for _, at := range []netip.Addr{ip, Destination(ip)} {
		if at.IsLoopback() || at.IsUnspecified() || at.IsMulticast() || at.IsLinkLocalUnicast() ||
			thisNetwork.Contains(at) || at == broadcast || slices.Contains(metadata, at) {
			return true
		}
	}
	return false
}

// Destination is the address at which packets to ip arrive: the IPv4 address
// that an IPv6 one maps, or carries for a translator or a tunnel, and else ip
// itself, without its zone.
func Destination(ip netip.Addr) netip.Addr {
	ip = ip.WithZone("").Unmap()
	if !ip.Is6() || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip), nat64Local.Contains(ip), ipv4Compatible.Contains(ip), ipv4Translated.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case teredo.Contains(ip): // its client's, with all bits inverted (RFC 4380)
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP (RFC 5214), in any network
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return ip
}
