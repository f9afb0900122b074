// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// FuzzCookie: a cookie says what it was made to say, and one that differs from it
// in anything says nothing.
func FuzzCookie(f *testing.F) {
	e := &poolEntry{name: "fuzz", pool: proxytest.NewPool(f, "http://10.0.0.1:80", "http://10.0.0.2:80")}
	c := &cookieAffinity{name: "lb", policy: &Failover{claim: &poolClaim{entry: e}}}
	c.once.Do(func() { c.secret = []byte("the secret of a test") })

	f.Add(uint64(42), 1, uint8(0), uint8(0), "")
	f.Add(uint64(0), 0, uint8(0), uint8(54), "")
	f.Add(uint64(1<<63), 2, uint8(53), uint8(54), "B")
	f.Add(uint64(7), 1, uint8(54), uint8(54), "=")
	f.Add(uint64(7), 1, uint8(9), uint8(8), "AA")
	f.Fuzz(func(t *testing.T, key uint64, member int, from, to uint8, with string) {
		if strings.ContainsAny(with, "\r\n") {
			return // no header has them
		}
		home := ""
		if members := e.pool.Members(); member > 0 {
			home = members[member%len(members)].Name
		}
		sealed := c.seal(key, home)
		changed := sealed[:int(from)%(len(sealed)+1)] + with + sealed[int(to)%(len(sealed)+1):]
		gotKey, gotHome, ok := c.open(changed)
		if ok != (changed == sealed) {
			t.Fatalf("%s was made, %s opens: %t", sealed, changed, ok)
		}
		if ok && (gotKey != key || gotHome != home) {
			t.Fatalf("it says %d and %q, not %d and %q", gotKey, gotHome, key, home)
		}
		if !ok && (gotKey != 0 || gotHome != "") {
			t.Fatalf("%s is refused, and says %d and %q", changed, gotKey, gotHome)
		}
	})
}
