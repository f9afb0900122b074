// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// FuzzGossip: of what other brokers say of themselves only addresses remain that a
// client may use, written in the one way that they are compared in; each is known
// as one of the own network.
func FuzzGossip(f *testing.F) {
	for _, said := range []string{
		`{"a":["http://10.0.0.2:80","https://b.example"]}`,
		`{"a":["ssl://10.0.0.1:80"]}`,
		`{"a":["http://[64:ff9b::a00:1]:80","unix//run/x","http://a?maxRequests=1","http://a\n:1"]}`,
		`{"A":["h2c://A.:080","http://A:80",""]}`,
		`{"a":"http://a"}`,
		`null`,
		`[]`,
	} {
		f.Add([]byte(said))
	}
	f.Cleanup(func() { SetState(nil) })
	f.Fuzz(func(t *testing.T, said []byte) {
		meta, _ := readMeta(said)
		brokers := meta.addresses()
		SetState(&parlance.NetworkState{All: brokers})
		for _, text := range brokers {
			u, err := address.ParseURI(text)
			if err != nil || u.String() != text || u.Scheme == address.SchemeUnix || strings.ContainsAny(text, " \r\n") {
				t.Fatalf("clients are told of %q, which reads as %+v, %v", text, u, err)
			}
			if !Has(u.Host, u.Port) {
				t.Fatalf("the broker %s is not known as one of the network", text)
			}
		}
	})
}

// TestLongMetaIsNotTaken: of a broker that says more than one may nothing is taken.
func TestLongMetaIsNotTaken(t *testing.T) {
	t.Parallel()
	const said = `{"a":["http://10.0.0.2:80"]}`
	for _, c := range []struct {
		length int
		want   int
	}{{memberlist.MetaMaxSize, 1}, {memberlist.MetaMaxSize + 1, 0}, {1 << 20, 0}} {
		meta, err := readMeta([]byte(said + strings.Repeat(" ", c.length-len(said))))
		if n := len(meta.addresses()); n != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("of %d bytes %d addresses are taken (%v), want %d", c.length, n, err, c.want)
		}
	}
}
