// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net"
	"testing"
	"time"

	"github.com/hashicorp/mdns"

	"github.com/caddy-broker/caddy-broker/failover"
)

func TestInstanceAddress(t *testing.T) {
	v4, v6 := net.ParseIP("10.0.0.1"), &net.IPAddr{IP: net.ParseIP("2001:db8::1")}
	const name = "one._app._tcp.local."
	for _, tc := range []struct {
		name  string
		entry mdns.ServiceEntry
		want  string
	}{
		{"IPv4", mdns.ServiceEntry{Name: name, AddrV4: v4, Port: 80}, "10.0.0.1:80"},
		{"IPv6", mdns.ServiceEntry{Name: name, AddrV6IPAddr: v6, Port: 80}, "[2001:db8::1]:80"},
		{"both", mdns.ServiceEntry{Name: name, AddrV4: v4, AddrV6IPAddr: v6, Port: 80}, "10.0.0.1:80"},
		{"with a zone", mdns.ServiceEntry{Name: name, AddrV6IPAddr: &net.IPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, Port: 80}, "[fe80::1]:80"},
		{"capitals", mdns.ServiceEntry{Name: "One._APP._tcp.local.", AddrV4: v4, Port: 80}, "10.0.0.1:80"},
		{"another service", mdns.ServiceEntry{Name: "one._printer._tcp.local.", AddrV4: v4, Port: 80}, ""},
		{"the end of another", mdns.ServiceEntry{Name: "one._my_app._tcp.local.", AddrV4: v4, Port: 80}, ""},
		{"no address", mdns.ServiceEntry{Name: name, Port: 80}, ""},
		{"no port", mdns.ServiceEntry{Name: name, AddrV4: v4}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := instanceAddress(&tc.entry, "_app._tcp"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A new configuration, or a new process, does not lose what was found before only
// because its first question is answered by a part.
func TestBrowserKnowsWhatWasFound(t *testing.T) {
	var b browser
	now := time.Now()
	b.forget("mdns _app._tcp", []failover.URI{{Scheme: "http", Host: "10.0.0.1", Port: "80"}}, now)
	if at, ok := b.found["10.0.0.1:80"]; !ok || !at.Equal(now) || !b.next.IsZero() {
		t.Errorf("found %v, next at %v", b.found, b.next)
	}
}
