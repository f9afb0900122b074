// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is read is written as an address that reads as the same, and every
// address of the list is one that can be dialled.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"failover:(http://a:8080,tcp://b)?randomize=false&priorityBackup=true&priorityURIs=http://b,http://c",
		"failover://(https://[::1],ssl://[fe80::1%25eth0]:8443?maxRequests=3)?nested.wireFormat.maxInactivityDuration=5&timeout=-1",
		"failover:unix//run/a.sock,unix:///run/b.sock?soTimeout=1",
		"(tcp://a:1,tcp://b:2)?ha=true&reconnectAttempts=3&initialConnectAttempts=2&retryInterval=100&retryIntervalMultiplier=2.0&maxRetryInterval=2000",
		"failover:()?updateURIsURL=https%3A%2F%2Flist%2F%3Fx%3D1",
		"failover:(failover:(http://a),http://b)",
		"failover:)http://a(",
		"failover:(h2c://a?connectionTimeout=1&SoTimeout=%31)?backOffMultiplier=1.50",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			if len(err.Error()) > 2000 || !utf8.ValidString(err.Error()) {
				t.Fatalf("error of %d bytes: %.200s", len(err.Error()), err)
			}
			return
		}
		keys := make(map[string]bool)
		for _, u := range a.URIs {
			if keys[u.Key()] {
				t.Fatalf("%s is in the list twice", u)
			}
			keys[u.Key()] = true
			if u.Scheme != a.URIs[0].Scheme {
				t.Fatalf("%s and %s differ in scheme", u, a.URIs[0])
			}
			checkDial(t, u)
		}
		if err := a.Options.Complete(); err != nil {
			t.Fatalf("what was read is refused: %v", err)
		}
		parsed(t, s)
	})
}

// checkDial checks that the dial address is one, and names the same backend.
func checkDial(t *testing.T, u URI) {
	t.Helper()
	again, err := ParseDial(u.Dial())
	if err != nil || again.Host != u.Host || again.Port != u.Port {
		t.Fatalf("%s has dial address %s, which reads as %v, %v", u, u.Dial(), again, err)
	}
	if u.Scheme == SchemeUnix {
		if u.Host == "" || strings.ContainsAny(u.Host, " ,()?#") {
			t.Fatalf("socket path %q", u.Host)
		}
		return
	}
	host, port, err := net.SplitHostPort(u.Dial())
	if err != nil || host == "" || host != strings.ToLower(host) && !strings.Contains(host, "%") {
		t.Fatalf("%s has dial address %s: %v", u, u.Dial(), err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port != strconv.Itoa(n) {
		t.Fatalf("%s has port %s", u, port)
	}
}

// Every entry point for a single address takes any text without a panic.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"http://a:80?maxRequests=1", "unix//x", "[::1]:80", "tcp/a:80", "10.0.0.0/8:80", "[2001:db8::/32]:1-2", "*.a:*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseURI(s); err == nil {
			checkDial(t, u)
			again, err := ParseURI(u.String())
			if err != nil || again.String() != u.String() || again.Key() != u.Key() {
				t.Fatalf("%q renders as %s, which reads as %s, %v", s, u, again, err)
			}
		}
		if u, err := ParseDial(s); err == nil {
			checkDial(t, u)
		}
		if r, err := ParseAllowRule(s); err == nil && (r == AllowRule{} || r.FirstPort > r.LastPort || r.Network.IsValid() && r.Host != "") {
			t.Fatalf("%q reads as the rule %+v", s, r)
		}
	})
}
