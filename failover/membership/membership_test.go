// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// What sources named once and do not name any more is not kept for ever.
func TestMembershipForgetsWhatWasNamed(t *testing.T) {
	s, now := New(), time.Now()
	for n := range 100 {
		list := make([]address.URI, address.MaxListAddresses)
		for i := range list {
			list[i] = address.URI{Scheme: address.SchemeHTTP, Host: fmt.Sprintf("10.%d.%d.%d", n, i/250, i%250), Port: "80"}
		}
		s.Set("http://hostile:80", list, false, now)
	}
	if n := len(s.last); n > 2*maxSaid+address.MaxListAddresses {
		t.Errorf("%d addresses are kept", n)
	}
	for _, u := range s.List("http://hostile:80") {
		if _, ok := s.last[u.Key()]; !ok {
			t.Fatalf("%s is not known to be confirmed", u.Key())
		}
	}
}

// An address that is down goes when no source has confirmed it for ten minutes.
func TestForget(t *testing.T) {
	s, start := New(), time.Now()
	x, y := address.URI{Scheme: "http", Host: "x", Port: "80"}, address.URI{Scheme: "http", Host: "y", Port: "80"}
	s.Set("one", []address.URI{x, y}, false, start)
	s.Set("two", []address.URI{y}, false, start)
	at := func(d time.Duration, want ...address.URI) {
		t.Helper()
		if gone := s.Forget([]address.URI{x, y}, start.Add(d)); !slices.EqualFunc(gone, want, func(a, b address.URI) bool { return a.Key() == b.Key() }) {
			t.Errorf("after %v: %v is forgotten, want %v", d, gone, want)
		}
	}
	at(confirmedFor - 1)
	s.Confirm("two", start.Add(time.Minute))
	at(confirmedFor, x)
	if len(s.Named()) != 1 {
		t.Errorf("sources still name %v", s.Named())
	}
	at(confirmedFor + time.Minute - 1)
	at(confirmedFor+time.Minute, y)
	// One from an earlier process gets its time anew.
	s = Restore(map[string]SourceSnapshot{"one": {URIs: []string{"http://x:80"}}})
	start = start.Add(time.Hour)
	if gone := s.Forget([]address.URI{x}, start); len(gone) > 0 {
		t.Errorf("%v is forgotten at once", gone)
	}
	if gone := s.Forget([]address.URI{x}, start.Add(confirmedFor)); len(gone) != 1 {
		t.Errorf("%v is forgotten, want one", gone)
	}
}
