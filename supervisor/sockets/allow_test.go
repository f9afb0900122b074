// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"testing"
)

func TestListensOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config string
		want   bool
	}{
		{`{"apps":{"http":{"servers":{"a":{"listen":[":80","unix//run/x.sock"]}}}}}`, true},
		{`{"listen":["unix//run/x.sock|0660"]}`, true},
		{`{"listen":"UNIX//run/x.sock"}`, true},
		{`{"listen":["unix//run/x.sock2"]}`, false},
		{`{"listen":["unix//run/x"]}`, false},
		{`{"listen":["tcp//run/x.sock"]}`, false},
		{`{"listen":["unix/{env.SOCKET}"]}`, false},
		{`{"listen":{"dial":"unix//run/x.sock"}}`, false},
		{`{"dial":"unix//run/x.sock"}`, false},
		{`{"listen":[null, 1, "/run/x.sock"]}`, false},
		{`oops`, false},
	} {
		if got := listensOn([]byte(c.config), "/run/x.sock"); got != c.want {
			t.Errorf("%s: %v", c.config, got)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]int{
		`{"listen":[":80",":443"]}`:                            MaxSockets,
		`{"a":{"listen":[":1000-2999"]},"b":{"listen":":80"}}`: 2001,
		`{"dial":[":1000-2999"]}`:                              MaxSockets,
		`{"listen":["[::1]:2000-4000"]}`:                       2001,
		`{"listen":["unix//a-b",":9-1",":1-99999",":x-y"]}`:    MaxSockets,
		`oops`: MaxSockets,
	} {
		if got := Limit([]byte(config)); got != want {
			t.Errorf("%s: %d, want %d", config, got, want)
		}
	}
}
