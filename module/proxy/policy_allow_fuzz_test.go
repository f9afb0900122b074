// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// anywhere lets all addresses join that may join at all, and one of this machine.
func anywhere(f *testing.F) *Failover {
	configured, err := address.ParseURI("http://127.0.0.1:9000")
	if err != nil {
		f.Fatal(err)
	}
	allow, err := membership.NewAllowList([]string{"0.0.0.0/0:1-65535", "[::/0]:1-65535"}, []address.URI{configured})
	if err != nil {
		f.Fatal(err)
	}
	return &Failover{allow: allow, way: reach.New(nil)}
}

// FuzzMayJoin: whatever other brokers say of themselves, no address of one joins a
// pool, in any spelling, and none of those that lead to this machine.
func FuzzMayJoin(f *testing.F) {
	for _, said := range []string{
		`{"a":["http://10.0.0.1:80","https://b.example"]}`,
		`{"a":["http://[64:ff9b::a00:1]:80","unix//run/x","http://a?maxRequests=1","http://a\n:1"]}`,
		`{"A":["h2c://A.:080","http://A:80",""]}`,
		`null`,
	} {
		f.Add([]byte(said), []byte{10, 0, 0, 1}, uint16(80))
		f.Add([]byte(said), []byte(net.ParseIP("64:ff9b::7f00:1")), uint16(80))
		f.Add([]byte(said), []byte{127, 0, 0, 1}, uint16(9000))
	}
	pool := anywhere(f)
	f.Cleanup(func() { cluster.SetState(nil) })
	f.Fuzz(func(t *testing.T, said, addr []byte, port uint16) {
		var brokers struct {
			Addresses []string `json:"a"`
		}
		_ = json.Unmarshal(said, &brokers)
		cluster.SetState(&parlance.NetworkState{All: brokers.Addresses})
		network := make(map[netip.AddrPort]bool)
		for _, text := range brokers.Addresses {
			u, err := address.ParseURI(text)
			if err != nil {
				continue
			}
			if pool.mayJoin(u) == nil {
				t.Fatalf("the broker %s may join a pool", text)
			}
			if at, err := netip.ParseAddrPort(u.Dial()); err == nil {
				network[netip.AddrPortFrom(membership.Destination(at.Addr()), at.Port())] = true
			}
		}
		ip, ok := netip.AddrFromSlice(addr)
		if !ok {
			return
		}
		u, err := address.ParseURI("http://" + net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(int(port))))
		if err != nil || pool.mayJoin(u) != nil {
			return
		}
		to := membership.Destination(ip)
		here := to.IsLoopback() || to.IsUnspecified() || to.IsMulticast() || to.IsLinkLocalUnicast()
		if network[netip.AddrPortFrom(to, port)] || here && u.Dial() != "127.0.0.1:9000" {
			t.Fatalf("%s may join", u)
		}
	})
}
