// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

func TestNetworkKnowsAllSpellings(t *testing.T) {
	t.Cleanup(func() { SetState(nil) })
	SetState(&parlance.NetworkState{Name: "edge1", All: []string{"http://10.0.0.9:80", "http://[::ffff:10.0.0.8]:80", "http://[2001:db8::1]:80", "http://Edge.example:80"}})
	for text, want := range map[string]bool{
		"http://[::ffff:10.0.0.9]:80":    true,
		"https://[::ffff:a00:9]:80":      true,
		"http://[64:ff9b::10.0.0.9]:80":  true,
		"http://[2002:a00:9::1]:80":      true,
		"http://10.0.0.8:80":             true,
		"http://[2001:db8:0:0::1]:80":    true,
		"http://[2001:db8::1%25eth0]:80": true,
		"http://edge.example.:80":        true,
		"http://10.0.0.9:81":             false,
		"http://10.0.0.7:80":             false,
		"http://another.edge.example:80": false,
	} {
		u, err := address.ParseURI(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Has(u.Host, u.Port); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}
