// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

func unmarshalPolicy(input string) (*Config, error) {
	tokens, err := caddyfile.Tokenize([]byte(input), "Caddyfile")
	if err != nil {
		return nil, err
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	c := new(Config)
	return c, c.UnmarshalBlock(d)
}

func TestUnmarshalBlock(t *testing.T) {
	tests := []struct{ name, block, json, err string }{
		{"no block", "", `{}`, ""},
		{"flags alone", "{\nrandomize\npriority_backup\nbackup\n}", `{"randomize":true,"priority_backup":true,"backup":true}`, ""},
		{"flags with a value", "{\nrandomize false\ntrack_messages true\n}", `{"randomize":false,"track_messages":true}`, ""},
		{"durations", "{\ninitial_reconnect_delay 0\nmax_reconnect_delay 1d\nfailback_delay 1m30s\ntimeout -1\n}", `{"initial_reconnect_delay":0,"max_reconnect_delay":86400000000000,"failback_delay":90000000000,"timeout":-1}`, ""},
		{"numbers", "{\nreconnect_delay_exponent 1.5\nreconnect_jitter 0\nmax_reconnect_attempts -1\nwarn_after_reconnect_attempts -1\nmax_waiting 0\n}", `{"reconnect_delay_exponent":1.5,"reconnect_jitter":0,"max_reconnect_attempts":-1,"max_waiting":0,"warn_after_reconnect_attempts":-1}`, ""},
		{"sizes", "{\nmax_cache_size 128KiB\n}", `{"max_cache_size":131072}`, ""},
		{"size without a unit", "{\nmax_cache_size 1000\n}", `{"max_cache_size":1000}`, ""},
		{"lists", "{\npriority_uris a:1 http://b:2\nupdate_uris_allow 10.0.0.0/8 :80\n}", `{"priority_uris":["a:1","http://b:2"],"update_uris_allow":["10.0.0.0/8",":80"]}`, ""},
		{"words", "{\naffinity cookie lb\nping GET /health\npool shop\n}", `{"affinity":"cookie lb","ping":"GET /health","pool":"shop"}`, ""},
		{"words in quotes", "{\naffinity \"header X-Tenant\"\nping `OPTIONS *`\n}", `{"affinity":"header X-Tenant","ping":"OPTIONS *"}`, ""},
		{"nested", "{\nnested {\nmax_requests 5\nso_timeout 1s\n}\n}", `{"nested":{"max_requests":5,"so_timeout":1000000000}}`, ""},
		{"addresses", "{\naddress A:080 {\nmax_requests 5\n}\naddress unix//run/x {\nconnection_timeout 1s\n}\n}", `{"address_options":{"a:80":{"max_requests":5},"unix//run/x":{"connection_timeout":1000000000}}}`, ""},
		{"address in two blocks", "{\naddress a:80 {\nmax_requests 5\n}\naddress a:80 {\nso_timeout 0\n}\n}", `{"address_options":{"a:80":{"max_requests":5,"so_timeout":0}}}`, ""},

		{"unknown", "{\nbackup\nrandomise false\n}", "", `unknown option "randomise": did you mean randomize? allowed are initial_reconnect_delay, max_reconnect_delay`},
		{"unknown tells the blocks", "{\nnest {\n}\n}", "", "pool, nested, address, at Caddyfile:2"},
		{"camel case", "{\npriorityBackup\n}", "", "did you mean priority_backup? "},
		{"address option outside", "{\nso_timeout 1s\n}", "", "so_timeout is an option of single addresses: for all of them use the block nested { }, for one the block address HOST:PORT { }"},
		{"pool option inside", "{\nnested {\nrandomize\n}\n}", "", "randomize is an option of the pool"},
		{"unknown in an address", "{\naddress a:80 {\nbogus 1\n}\n}", "", `unknown option "bogus": allowed are max_requests, connection_timeout, so_timeout, max_inactivity_duration, at Caddyfile:3`},
		{"repeated", "{\nrandomize\nrandomize true\n}", "", "option randomize is already given, here or in the failover address: remove one, at Caddyfile:3"},
		{"repeated default", "{\nmax_reconnect_attempts -1\nmax_reconnect_attempts -1\n}", "", "already given"},
		{"repeated list", "{\npriority_uris a:1\npriority_uris b:1\n}", "", "already given"},
		{"repeated in nested", "{\nnested {\nso_timeout 1s\n}\nnested {\nso_timeout 1s\n}\n}", "", "already given"},
		{"bool", "{\nrandomize maybe\n}", "", `option randomize: value "maybe" is not allowed: expecting true or false, at Caddyfile:2`},
		{"bool in capitals", "{\nrandomize True\n}", "", "expecting true or false"},
		{"bool with two values", "{\nrandomize false true\n}", "", "it has several values; expecting true or false"},
		{"bool with a block", "{\nrandomize {\nx\n}\n}", "", "option randomize takes no block"},
		{"value with a block", "{\ntimeout 5s {\nx\n}\n}", "", "option timeout takes no block"},
		{"no value", "{\ntimeout\n}", "", "option timeout: it has no value; expecting -1"},
		{"no list", "{\npriority_uris\n}", "", "it has no value"},
		{"two values", "{\ntimeout 5s 6s\n}", "", "several values"},
		{"duration without a unit", "{\ntimeout 5000\n}", "", `option timeout: value "5000" is not allowed`},
		{"duration in words", "{\nmax_reconnect_delay soon\n}", "", "option max_reconnect_delay"},
		{"negative duration", "{\nfailback_delay -1s\n}", "", "option failback_delay"},
		{"count", "{\nmax_reconnect_attempts -2\n}", "", "option max_reconnect_attempts"},
		{"size", "{\nmax_cache_size 10EB\n}", "", "option max_cache_size"},
		{"negative size", "{\nmax_cache_size -1\n}", "", "option max_cache_size"},
		{"jitter", "{\nreconnect_jitter 20%\n}", "", "option reconnect_jitter"},
		{"affinity", "{\naffinity cookie\n}", "", "cookie needs one name"},
		{"affinity with too many words", "{\naffinity header a b\n}", "", "header needs one name"},
		{"ping", "{\nping /health\n}", "", "the method is missing"},
		{"pool", "{\npool \"a b\"\n}", "", "option pool"},
		{"empty pool", "{\npool \"\"\n}", "", "option pool"},
		{"priority", "{\npriority_uris http://a:1/x\n}", "", "it has a path"},
		{"priority, commas", "{\npriority_uris a:1,b:1\n}", "", "option priority_uris"},
		{"nested with an argument", "{\nnested x {\nmax_requests 1\n}\n}", "", `unexpected "x": expecting a block`},
		{"nested without a block", "{\nnested\nbackup\n}", "", "the block has no options"},
		{"nested, empty", "{\nnested {\n}\n}", "", "the block has no options"},
		{"address without a name", "{\naddress {\nmax_requests 1\n}\n}", "", "expecting HOST:PORT and a block"},
		{"address with a scheme", "{\naddress http://a:80 {\nmax_requests 1\n}\n}", "", "a dial address has no scheme"},
		{"address without a port", "{\naddress a {\nmax_requests 1\n}\n}", "", "it has no port"},
		{"two addresses", "{\naddress a:80 b:80 {\nmax_requests 1\n}\n}", "", `unexpected "b:80"`},
		{"contradiction", "{\nbackup\ninitial_reconnect_delay 1m\n}", "", "options initial_reconnect_delay and max_reconnect_delay contradict each other: a first wait of 1m is longer than the longest, 30s; raise max_reconnect_delay to at least 1m, at Caddyfile:4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := unmarshalPolicy("failover " + tt.block)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), ", at Caddyfile:") {
					t.Errorf("got %v, want %q in it, and the line", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(c); string(got) != tt.json {
				t.Errorf("got %s, want %s", got, tt.json)
			}
		})
	}
}

// The example in docs has every option and loads.
func TestOptionsDocExample(t *testing.T) {
	data, err := os.ReadFile("../../docs/failover-options.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(data), "lb_policy failover")
	for ok && !strings.HasPrefix(block, " {\n") { // a mention in the text
		_, block, ok = strings.Cut(block, "lb_policy failover")
	}
	block, _, _ = strings.Cut(block, "\n}\n") // that of reverse_proxy
	c, err := unmarshalPolicy("failover" + block)
	if err != nil {
		t.Fatal(err)
	}
	for _, opt := range address.OptionTable() {
		given := isGiven(c, opt.Name)
		if opt.Scope == address.ScopeAddress {
			given = isGiven(c.Nested, opt.Name) || isGiven(c.AddressOptions["10.0.0.1:8080"], opt.Name)
		}
		if !given {
			t.Errorf("the example lacks %s", opt.Name)
		}
	}
}

// What a block says survives JSON, and blocks never panic.
func FuzzUnmarshalBlock(f *testing.F) {
	for _, s := range []string{
		"{\nrandomize false\npriority_backup\ntimeout -1\nmax_cache_size 1MiB\n}",
		"{\nnested {\nso_timeout 1s\n}\naddress [::1]:80 {\nmax_requests 5\n}\n}",
		"{\naffinity cookie lb\nping GET /health\npriority_uris http://a:1 b:2\n}",
		"{\nrandomize {\n}\n}", "{\nnested {\n", "}", "{ {\n} }", "{\naddress\n}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, block string) {
		c, err := unmarshalPolicy("failover " + block)
		if err != nil || c == nil {
			return
		}
		o, addresses, err := c.options()
		if err != nil {
			t.Fatalf("what was read is refused: %v", err)
		}
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again := new(Config)
		if err := caddy.StrictUnmarshalJSON(data, again); err != nil {
			t.Fatal(err)
		}
		o2, addresses2, err := again.options()
		if err != nil || !reflect.DeepEqual(o, o2) || !reflect.DeepEqual(addresses, addresses2) {
			t.Fatalf("%s reads as\n%+v, %+v, %v; want\n%+v, %+v", data, o2, addresses2, err, o, addresses)
		}
	})
}
