// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxystatus

import (
	"testing"
	"time"
)

func TestProxyStatusField(t *testing.T) {
	for _, tc := range []struct{ name, details, want string }{
		{"caddy-broker", "", `caddy-broker; error=connection_refused`},
		{"caddy-broker", InDoubt, `caddy-broker; error=connection_refused; details="in-doubt"`},
		{"proxy.example:443", "", `proxy.example:443; error=connection_refused`},
		{"*x", "", `*x; error=connection_refused`},
		{"2001:db8::1", "", `"2001:db8::1"; error=connection_refused`},
		{"my proxy", `say "no\yes"`, `"my proxy"; error=connection_refused; details="say \"no\\yes\""`},
		{"", "tab\tümlaut", `""; error=connection_refused; details="tab???mlaut"`},
	} {
		if got := Field(tc.name, Fault{Error: "connection_refused"}, tc.details); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestReceived(t *testing.T) {
	const want = `caddy-broker; received-status=503; details="in-doubt"`
	if got := Received(DefaultName, 503, InDoubt); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRetryAfter: between one and two waits, in whole seconds.
func TestRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration][]string{
		0:                       {"1", "2"},
		time.Second:             {"1", "2"},
		1500 * time.Millisecond: {"2", "3", "4"},
		3 * time.Second:         {"3", "4", "5", "6"},
	} {
		seen := make(map[string]bool)
		for range 1000 {
			seen[RetryAfter(wait)] = true
		}
		for _, w := range want {
			if !seen[w] {
				t.Errorf("%s: never %s", wait, w)
			}
			delete(seen, w)
		}
		if len(seen) > 0 {
			t.Errorf("%s: also %v", wait, seen)
		}
	}
}
