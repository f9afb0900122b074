// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// What has to reach a backend in a new configuration is what reached one before, whatever
// it is called by now.
func TestMustReach(t *testing.T) {
	t.Parallel()
	pool := func(addresses ...string) Identity {
		return Identity{Name: addresses[0], Addresses: addresses, Digest: addresses[0]}
	}
	old := func(id Identity, reached bool, down ...string) Pool {
		p := Pool{Identity: id, Snapshot: report.Snapshot{Reached: reached}}
		for _, name := range down {
			p.Down = append(p.Down, report.DownSnapshot{Name: name})
		}
		return p
	}
	a, b := pool("http://a:1", "http://a:2"), pool("http://b:1")
	for name, c := range map[string]struct {
		pools  []Pool
		drains Drains
		next   []Identity
		want   [][]string
	}{
		"the same":                     {[]Pool{old(a, true), old(b, false)}, nil, []Identity{a, b}, [][]string{a.Addresses, nil}},
		"one member was down":          {[]Pool{old(a, true, "http://a:1")}, nil, []Identity{a}, [][]string{{"http://a:2"}}},
		"all were down":                {[]Pool{old(a, true, "http://a:1", "http://a:2")}, nil, []Identity{a}, [][]string{nil}},
		"all that were up are drained": {[]Pool{old(a, true, "http://a:1")}, Drains{{Address: "http://a:2"}}, []Identity{a}, [][]string{nil}},
		"a new one beside it":          {[]Pool{old(a, true)}, nil, []Identity{a, pool("http://new:1")}, [][]string{a.Addresses, nil}},
		"another one in its place":     {[]Pool{old(a, true)}, nil, []Identity{pool("http://wrong:1")}, [][]string{a.Addresses}},
		"in place of one that was down": {
			[]Pool{old(b, true, "http://b:1")}, nil, []Identity{pool("http://wrong:1")}, [][]string{nil},
		},
		"removed": {[]Pool{old(a, true), old(b, true)}, nil, []Identity{b}, [][]string{b.Addresses}},
		"none":    {nil, nil, []Identity{a}, [][]string{nil}},
	} {
		if got := (State{Pools: c.pools, Drains: c.drains}).MustReach(c.next); !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
