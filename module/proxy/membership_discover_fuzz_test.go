// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/mdns"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// ours reports whether an address means this machine or its link.
func ours(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast()
}

// FuzzAnnounced: of what strangers on the network say as instances of a service by
// multicast DNS, only addresses remain that a pool may use. An instance joins with
// what it said, and never where it is this machine.
func FuzzAnnounced(f *testing.F) {
	const name = "one._app._tcp.local."
	v4, mapped, nat64 := []byte{10, 0, 0, 1}, net.ParseIP("::ffff:10.0.0.1"), net.ParseIP("64:ff9b::7f00:1")
	f.Add(name, v4, 80)
	f.Add(name, []byte(mapped), 80)
	f.Add("a._APP._tcp.local.", v4, 80)
	f.Add(name, []byte(nat64), 80)
	f.Add(name, []byte{127, 0, 0, 1}, 9000)
	f.Add("one._my_app._tcp.local.", []byte(net.ParseIP("fe80::1")), 65536)
	f.Add(name, []byte{1, 2, 3}, 80)
	configured := address.URI{Scheme: address.SchemeHTTP, Host: "127.0.0.1", Port: "9000"}
	allow, err := membership.NewAllowList([]string{"0.0.0.0/0:1-65535", "[::/0]:1-65535"}, []address.URI{configured})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, addr []byte, port int) {
		e := &mdns.ServiceEntry{Name: name, Port: port, AddrV4: addr}
		if len(addr) == net.IPv6len {
			e.AddrV4, e.AddrV6IPAddr = nil, &net.IPAddr{IP: addr}
		}
		h := &heard{f: &operator{allow: allow}}
		for range 2 { // an instance that says it twice is one
			h.add(instanceAddress(e, "_app._tcp"))
		}
		ip, valid := netip.AddrFromSlice(addr)
		ip = ip.Unmap()
		valid = valid && port > 0 && port < 65536 && strings.HasSuffix(strings.ToLower(name), "._app._tcp.local.")
		found := slices.Concat(h.good, h.bad)
		if (len(found) == 1) != valid || len(found) > 1 {
			t.Fatalf("%q at %v, port %d: found %v", name, ip, port, found)
		}
		at := netip.AddrPortFrom(ip, uint16(port))
		if valid && (found[0].Dial() != at.String() || found[0].Scheme != address.SchemeHTTP) {
			t.Fatalf("%s was found as %s", at, found[0])
		}
		if len(h.good) == 0 {
			return
		}
		if ours(ip) && at.String() != "127.0.0.1:9000" || ours(membership.Destination(ip)) && !ours(ip) {
			t.Fatalf("%s may join", at)
		}
	})
}
