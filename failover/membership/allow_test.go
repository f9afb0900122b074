// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"errors"
	"net/netip"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

func TestAllowList(t *testing.T) {
	configured := []string{"http://10.0.0.1:8080", "http://app.example:8081", "http://127.0.0.1:9001"}
	for _, tc := range []struct {
		name    string
		rules   []string
		address string
		want    error
	}{
		{"configured host, other configured port", nil, "http://10.0.0.1:8081", nil},
		{"configured host, other port", nil, "http://10.0.0.1:8082", ErrNotAllowed},
		{"other host", nil, "http://10.0.0.2:8080", ErrNotAllowed},
		{"configured name", nil, "http://app.example:8080", nil},
		{"loopback, exactly configured", nil, "http://127.0.0.1:9001", nil},
		{"loopback, other configured port", nil, "http://127.0.0.1:8080", ErrSpecial},
		{"network", []string{"10.0.0.0/8:8000-8999"}, "http://10.9.9.9:8500", nil},
		{"network, other port", []string{"10.0.0.0/8:8000-8999"}, "http://10.9.9.9:9000", ErrNotAllowed},
		{"network, name", []string{"10.0.0.0/8:*"}, "http://ten.example:80", ErrNotAllowed},
		{"network, IPv4 in IPv6", []string{"10.0.0.0/8:*"}, "http://[::ffff:10.0.0.9]:80", nil},
		{"a rule does not take away what is configured", []string{"192.168.0.0/16:*"}, "http://10.0.0.1:8080", nil},
		{"a rule takes away other configured ports", []string{"192.168.0.0/16:*"}, "http://10.0.0.1:8081", ErrNotAllowed},
		{"a rule replaces the default", []string{"10.0.0.0/8:*"}, "http://app.example:8082", ErrNotAllowed},
		{"pattern", []string{"*.app.internal:8080"}, "http://x1.app.internal:8080", nil},
		{"pattern, not the domain itself", []string{"*.app.internal:8080"}, "http://app.internal:8080", ErrNotAllowed},
		{"pattern, longer name", []string{"*.app.internal:8080"}, "http://x.app.internal.evil:8080", ErrNotAllowed},
		{"port only", []string{":8080"}, "http://10.0.0.1:8080", nil},
		{"any host, loopback", []string{"*:*"}, "http://127.0.0.1:2019", ErrSpecial},
		{"any host, all of loopback", []string{"*:*"}, "http://127.9.9.9:80", ErrSpecial},
		{"any address, metadata", []string{"0.0.0.0/0:*"}, "http://169.254.169.254:80", ErrSpecial},
		{"any address, unspecified", []string{"0.0.0.0/0:*"}, "http://0.0.0.0:80", ErrSpecial},
		{"any address, multicast", []string{"0.0.0.0/0:*"}, "http://224.0.0.1:80", ErrSpecial},
		{"any address, broadcast", []string{"0.0.0.0/0:*"}, "http://255.255.255.255:80", ErrSpecial},
		{"IPv6 loopback", []string{"::/0:*", "[::/0]:*"}, "http://[::1]:80", ErrSpecial},
		{"IPv6 link-local with zone", []string{"[::/0]:*"}, "http://[fe80::1%25eth0]:80", ErrSpecial},
		{"loopback in IPv6", []string{"0.0.0.0/0:*"}, "http://[::ffff:127.0.0.1]:80", ErrSpecial},
		{"metadata behind NAT64", []string{"[::/0]:*"}, "http://[64:ff9b::a9fe:a9fe]:80", ErrSpecial},
		{"metadata behind local NAT64", []string{"[::/0]:*"}, "http://[64:ff9b:1::a9fe:a9fe]:80", ErrSpecial},
		{"metadata translated", []string{"[::/0]:*"}, "http://[::ffff:0:a9fe:a9fe]:80", ErrSpecial},
		{"loopback in 6to4", []string{"[::/0]:*"}, "http://[2002:7f00:1::1]:80", ErrSpecial},
		{"loopback in an IPv4-compatible address", []string{"[::/0]:*"}, "http://[::7f00:1]:80", ErrSpecial},
		{"Amazon's metadata in IPv6", []string{"[::/0]:*"}, "http://[fd00:ec2::254]:80", ErrSpecial},
		{"Google's metadata in IPv6", []string{"[fd20::/16]:*"}, "http://[fd20:ce::254]:80", ErrSpecial},
		{"Alibaba's metadata", []string{"100.64.0.0/10:*"}, "http://100.100.100.200:80", ErrSpecial},
		{"Oracle's metadata", []string{"0.0.0.0/0:*"}, "http://192.0.0.192:80", ErrSpecial},
		{"Azure's metadata", []string{"0.0.0.0/0:*"}, "http://168.63.129.16:80", ErrSpecial},
		{"Azure's metadata behind NAT64", []string{"[::/0]:*"}, "http://[64:ff9b::a83f:8110]:80", ErrSpecial},
		{"metadata, exactly allowed", []string{"168.63.129.16:80"}, "http://168.63.129.16:80", nil},
		{"beside metadata", []string{"100.64.0.0/10:*"}, "http://100.100.100.201:80", nil},
		{"loopback in Teredo", []string{"[::/0]:*"}, "http://[2001:0:cb00:7101:8000:63bf:80ff:fffe]:80", ErrSpecial},
		{"metadata in Teredo", []string{"[::/0]:*"}, "http://[2001::5601:5601]:80", ErrSpecial},
		{"backend in Teredo", []string{"[::/0]:*"}, "http://[2001::f5ff:fff6]:80", nil},
		{"loopback in ISATAP", []string{"[::/0]:*"}, "http://[fd01::5efe:7f00:1]:80", ErrSpecial},
		{"loopback in ISATAP of a public network", []string{"[::/0]:*"}, "http://[2a00:1::200:5efe:7f00:1]:80", ErrSpecial},
		{"backend in ISATAP", []string{"[::/0]:*"}, "http://[fd01::5efe:a00:9]:80", nil},
		{"own socket in ISATAP", []string{"[::/0]:*"}, "http://[fd01::5efe:a00:7]:2019", ErrOwn},
		{"backend behind NAT64", []string{"[::/0]:*"}, "http://[64:ff9b::a00:9]:80", nil},
		{"rule with a mapped address", []string{"[::ffff:10.0.0.9]:80"}, "http://10.0.0.9:80", nil},
		{"rule with a mapped network", []string{"[::ffff:10.0.0.0/104]:80"}, "http://10.0.0.9:80", nil},
		{"localhost", []string{"*:*"}, "http://localhost:2019", ErrSpecial},
		{"below localhost", []string{"*:*"}, "http://x.localhost:2019", ErrSpecial},
		{"loopback, exactly allowed", []string{"127.0.0.1:7001"}, "http://127.0.0.1:7001", nil},
		{"loopback, a range of ports", []string{"127.0.0.1:7000-7009"}, "http://127.0.0.1:7001", ErrSpecial},
		{"own socket", []string{"10.0.0.0/8:*"}, "http://10.0.0.7:2019", ErrOwn},
		{"own socket behind NAT64", []string{"[::/0]:*"}, "http://[64:ff9b::a00:7]:2019", ErrOwn},
		{"own socket, exactly allowed", []string{"10.0.0.7:2019"}, "http://10.0.0.7:2019", nil},
		{"unix", []string{"*:*"}, "unix//run/app.sock", ErrSpecial},
		{"options", nil, "http://10.0.0.1:8080?maxRequests=1", ErrOptions},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var uris []address.URI
			for _, text := range configured {
				uris = append(uris, mustURI(t, text))
			}
			var rules []string
			for _, r := range tc.rules {
				if _, err := address.ParseAllowRule(r); err == nil {
					rules = append(rules, r)
				}
			}
			a, err := NewAllowList(rules, uris)
			if err != nil {
				t.Fatal(err)
			}
			a.Own = func(at netip.AddrPort) bool { return at == netip.MustParseAddrPort("10.0.0.7:2019") }
			if err := a.Check(mustURI(t, tc.address)); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", tc.address, err, tc.want)
			}
		})
	}
}

func TestAllowListAtTheDial(t *testing.T) {
	a, err := NewAllowList([]string{"*.app.internal:80", "localhost:7001", "127.0.0.1:7002"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Own = func(at netip.AddrPort) bool { return at.Port() == 80 && at.Addr().String() == "10.0.0.7" }
	for _, tc := range []struct {
		uri, resolved, port string // port is health_port
		want                error
	}{
		{"http://x.app.internal:80", "10.0.0.1", "", nil},
		{"http://x.app.internal:80", "169.254.169.254", "", ErrSpecial},
		{"http://x.app.internal:80", "127.0.0.1", "", ErrSpecial},
		{"http://x.app.internal:80", "::ffff:127.0.0.1", "", ErrSpecial},
		{"http://x.app.internal:80", "::1", "", ErrSpecial},
		{"http://x.app.internal:80", "10.0.0.7", "", ErrOwn},
		{"http://x.app.internal:7002", "127.0.0.1", "", nil}, // that address is named
		{"http://localhost:7001", "127.0.0.1", "", nil},
		{"http://localhost:7001", "::1", "", nil},
		{"http://localhost:7001", "169.254.169.254", "", ErrSpecial},
		{"http://localhost:7003", "127.0.0.1", "", ErrSpecial},
		{"http://x.app.internal:80", "64:ff9b::10.0.0.7", "", ErrOwn},
		{"http://x.app.internal:80", "2002:a00:7::1", "", ErrOwn},
		{"http://x.app.internal:81", "10.0.0.7", "", nil},
		{"http://x.app.internal:81", "10.0.0.7", "80", ErrOwn},
		{"http://x.app.internal:80", "127.0.0.1", "7002", ErrSpecial}, // nobody named it as a member
		{"http://127.0.0.1:7002", "127.0.0.1", "9000", nil},
	} {
		u := mustURI(t, tc.uri)
		if err := a.CheckDial(u, netip.MustParseAddr(tc.resolved), cmp.Or(tc.port, u.Port)); !errors.Is(err, tc.want) {
			t.Errorf("%s at %s: %v, want %v", tc.uri, tc.resolved, err, tc.want)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "anything", true},
		{"a.b", "a.b.", true},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*bc*d", "axbcyd", true},
		{"a*bc*d", "axbyd", false},
		{"ab*ba", "aba", false},
		{"*.x", ".x", true},
		{"x", "xx", false},
	} {
		if got := matchPattern(tc.pattern, tc.name); got != tc.want {
			t.Errorf("%s on %s: %t", tc.pattern, tc.name, got)
		}
	}
}

func mustURI(t *testing.T, text string) address.URI {
	t.Helper()
	u, err := address.ParseURI(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
