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
	if list := s.List("one"); len(list) != 1 || list[0] != y {
		t.Errorf("the first source names %v, want y", list)
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

// A source that is no member any more keeps what it alone names, and not its own address.
func TestSettle(t *testing.T) {
	s, now := New(), time.Now()
	uri := func(host string) address.URI { return address.URI{Scheme: "http", Host: host, Port: "80"} }
	silent, speaking := uri("silent"), uri("speaking")
	s.Set(silent.Key(), []address.URI{silent, uri("both"), uri("alone")}, false, now)
	s.Set(speaking.Key(), []address.URI{speaking, uri("both")}, false, now)
	s.Settle(func(name string) bool { return name == speaking.Key() })
	if list := s.List(silent.Key()); !slices.Equal(list, []address.URI{uri("alone")}) {
		t.Errorf("the silent source names %v", list)
	}
	if list := s.List(speaking.Key()); len(list) != 2 {
		t.Errorf("the speaking source names %v", list)
	}
	s.Set(silent.Key(), []address.URI{silent, uri("both")}, false, now)
	s.Settle(func(name string) bool { return name == speaking.Key() })
	if slices.Contains(s.Sources(), silent.Key()) {
		t.Error("a source without an address of its own is kept")
	}
}
