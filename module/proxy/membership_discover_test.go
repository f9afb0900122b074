// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/mdns"

	"github.com/caddy-broker/caddy-broker/failover/address"
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
	b.forget("mdns _app._tcp", []address.URI{{Scheme: "http", Host: "10.0.0.1", Port: "80"}}, now)
	if at, ok := b.found["10.0.0.1:80"]; !ok || !at.Equal(now) || !b.next.IsZero() {
		t.Errorf("found %v, next at %v", b.found, b.next)
	}
}

// discovering is a pool's membership that looks for instances, without asking.
func discovering(t *testing.T, allow ...string) *follower {
	t.Helper()
	s := sourced(t, allow...)
	s.agent.forget("mdns _app._tcp", nil, time.Now())
	return s
}

// hear makes one look that hears these addresses.
func (s *follower) hear(addresses ...string) {
	h := &heard{f: s.current, known: maps.Clone(s.agent.found)}
	for _, a := range addresses {
		h.add(a)
	}
	s.take(word{source: s.agent.what, where: s.agent.what, kind: "found", found: append(h.good, h.bad...)})
}

func (s *follower) isFound(addr string) bool {
	return slices.ContainsFunc(s.said.List(s.agent.what), func(u address.URI) bool { return u.Dial() == addr })
}

// One host that tells of any number of instances keeps nobody from being found,
// be they somewhere else or among those that may join.
func TestNoisyHost(t *testing.T) {
	noise := func(network string) (list []string) {
		for n := range 3 * address.MaxListAddresses {
			list = append(list, fmt.Sprintf("%s.%d.%d:80", network, n/250, n%250+1))
		}
		return list
	}
	s := discovering(t, "10.0.0.0/16:*", "10.1.0.0/16:*")
	s.hear(append(noise("192.168"), "10.0.0.1:80")...)
	if !s.isFound("10.0.0.1:80") || len(s.said.List(s.agent.what)) != 1 {
		t.Fatalf("found %v besides 3,000 that may not join", s.said.List(s.agent.what))
	}
	_, refused := s.Counts()
	if n := refused["not_allowed"]; n != address.MaxListAddresses {
		t.Errorf("%d were counted as refused", n)
	}
	at := s.agent.found["10.0.0.1:80"]
	s.hear(append(noise("10.1"), "10.0.0.1:80")...)
	if n := len(s.said.List(s.agent.what)); !s.isFound("10.0.0.1:80") || n != address.MaxListAddresses {
		t.Errorf("found %d, with the known one: %t", n, s.isFound("10.0.0.1:80"))
	}
	if !s.agent.found["10.0.0.1:80"].After(at) {
		t.Error("the known one counts as silent")
	}
	if _, told := s.told[s.agent.what]; told {
		t.Error("the list was ignored")
	}
}

// What may not join is no sign that those who are silent have left.
func TestForeignInstancesAreSilence(t *testing.T) {
	s := discovering(t, "10.0.0.0/16:*")
	s.hear("10.0.0.1:80")
	s.agent.found["10.0.0.1:80"] = time.Now().Add(-2 * browseKept)
	s.hear("192.168.0.1:80")
	if !s.isFound("10.0.0.1:80") {
		t.Error("the silent one was forgotten")
	}
	if _, ok := s.agent.found["10.0.0.1:80"]; !ok || len(s.told) != 0 {
		t.Errorf("found %v, complaints %v", s.agent.found, s.told)
	}
	s.hear("10.0.0.2:80")
	if s.isFound("10.0.0.1:80") || !s.isFound("10.0.0.2:80") {
		t.Errorf("found %v", s.said.List(s.agent.what))
	}
}
