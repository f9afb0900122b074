// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestComplete(t *testing.T) {
	a, b := URI{Scheme: "http", Host: "a", Port: "1"}, URI{Scheme: "http", Host: "b", Port: "1"}
	tests := []struct {
		name   string
		change func(*Options)
		err    string
	}{
		{"defaults", func(*Options) {}, ""},
		{"equal delays", func(o *Options) { o.InitialReconnectDelay = o.MaxReconnectDelay }, ""},
		{"both delays 0", func(o *Options) { o.InitialReconnectDelay, o.MaxReconnectDelay = 0, 0 }, ""},
		{"first delay above the longest", func(o *Options) { o.InitialReconnectDelay = time.Minute }, "options initial_reconnect_delay and max_reconnect_delay contradict each other: a first wait of 1m is longer than the longest, 30s; raise max_reconnect_delay to at least 1m"},
		{"priority", func(o *Options) { o.PriorityURIs = []URI{a, b} }, ""},
		{"priority twice", func(o *Options) { o.PriorityURIs = []URI{a, b, a} }, "option priority_uris names http://a:1 twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := DefaultOptions()
			tt.change(&o)
			err := o.Complete()
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

func TestStartupLimitFollowsTheOther(t *testing.T) {
	tests := []struct {
		limit, startup int
		set            bool
		want           int
	}{
		{-1, -1, false, -1},
		{0, -1, false, 0},
		{5, -1, false, 5},
		{5, -1, true, -1}, // no limit at start, five later
		{-1, 3, true, 3},
		{5, 0, true, 0},
	}
	for _, tt := range tests {
		o := DefaultOptions()
		o.MaxReconnectAttempts, o.StartupMaxReconnectAttempts, o.StartupMaxReconnectAttemptsSet = tt.limit, tt.startup, tt.set
		if err := o.Complete(); err != nil || o.StartupMaxReconnectAttempts != tt.want {
			t.Errorf("%+v: got %d, %v", tt, o.StartupMaxReconnectAttempts, err)
		}
	}
}

func TestResolvePriority(t *testing.T) {
	o := DefaultOptions()
	o.PriorityURIs = []URI{{Host: "a", Port: "1"}, {Scheme: "https", Host: "b", Port: "1"}, {Scheme: "unix", Host: "/x"}}
	if err := o.ResolvePriority("https"); err != nil {
		t.Fatal(err)
	}
	if got := names(o.PriorityURIs); got != "https://a:1 https://b:1 unix//x" {
		t.Errorf("got %s", got)
	}
	if err := o.ResolvePriority("http"); err == nil || !strings.Contains(err.Error(), "https://a:1 is not an address of this pool") {
		t.Errorf("got %v", err)
	}
	o.PriorityURIs = []URI{{Host: "a", Port: "1"}, {Scheme: "http", Host: "a", Port: "1"}}
	if err := o.ResolvePriority("http"); err == nil || !strings.Contains(err.Error(), "http://a:1 twice") {
		t.Errorf("got %v", err)
	}
	o.PriorityURIs = []URI{{Host: "a", Port: "1", Options: URIOptions{MaxRequests: new(1)}}}
	if err := o.ResolvePriority("http"); err == nil || !strings.Contains(err.Error(), "address a:1 { }") {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		query string
		want  []string
	}{
		{"backup=true&backupPoolSize=2&priorityBackup=true&priorityURIs=http://a", nil},
		{"backupPoolSize=1&reconnectDelayExponent=2.0&useExponentialBackOff=false", nil},
		{"backupPoolSize=2", []string{"backup_pool_size has no effect without backup"}},
		{"priorityURIs=http://a", []string{"priority_uris has no effect without priority_backup"}},
		{"useExponentialBackOff=false&backOffMultiplier=3", []string{"reconnect_delay_exponent has no effect without use_exponential_backoff"}},
	}
	for _, tt := range tests {
		a := parsed(t, "failover:(http://a)?"+tt.query)
		if got := a.Options.Warnings(); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: got %q, want %q", tt.query, got, tt.want)
		}
	}
	o := DefaultOptions()
	o.FailbackDelay, o.UpdateURIsSupported, o.UpdateURIsAllow = time.Minute, false, []string{":80"}
	if got := o.Warnings(); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func TestSettings(t *testing.T) {
	o := setAll(t)
	got := make(map[string]string)
	for _, s := range o.Settings() {
		v, err := json.Marshal(s.Value)
		if err != nil {
			t.Fatal(err)
		}
		got[s.Name] = string(v)
		if s.Default {
			t.Errorf("%s counts as a default", s.Name)
		}
	}
	if len(got) != len(table) {
		t.Errorf("got %d settings of %d options", len(got), len(table))
	}
	for name, want := range map[string]string{
		"initial_reconnect_delay": `"1ms"`, "max_reconnect_delay": `"1m"`, "randomize": "false", "reconnect_jitter": "0",
		"priority_uris": `["http://b:1","c:2"]`, "affinity": `"header X-Tenant"`, "ping": `"GET /health?deep=1"`,
		"nested.max_requests": "5", "nested.max_inactivity_duration": `"0"`, "max_cache_size": "5", "timeout": `"5s"`,
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}

	def := DefaultOptions()
	for _, s := range def.Settings() {
		if !s.Default {
			t.Errorf("%s=%v is no default", s.Name, s.Value)
		}
		switch {
		case s.Name == "timeout" && s.Value != -1:
			t.Errorf("timeout is %v", s.Value)
		case s.Name == "update_uris_allow" && s.Value.([]string) == nil:
			t.Error("an empty list is null in JSON")
		case s.Name == "affinity" && s.Value != "client_ip":
			t.Errorf("affinity is %v", s.Value)
		}
	}
	def.Randomize = false
	if got := def.EffectiveAffinity().String(); got != "pool" {
		t.Errorf("affinity without randomize is %s", got)
	}
}

func TestParseAllowRule(t *testing.T) {
	pfx := netip.MustParsePrefix
	tests := []struct {
		in   string
		want AllowRule
		err  string
	}{
		{"10.0.0.0/8", AllowRule{Network: pfx("10.0.0.0/8")}, ""},
		{"10.0.0.0/8:80", AllowRule{Network: pfx("10.0.0.0/8"), FirstPort: 80, LastPort: 80}, ""},
		{"10.0.0.1:8000-8999", AllowRule{Network: pfx("10.0.0.1/32"), FirstPort: 8000, LastPort: 8999}, ""},
		{"2001:db8::/32", AllowRule{Network: pfx("2001:db8::/32")}, ""},
		{"[2001:db8::/32]:443", AllowRule{Network: pfx("2001:db8::/32"), FirstPort: 443, LastPort: 443}, ""},
		{"::ffff:0:0/96", AllowRule{Network: pfx("0.0.0.0/0")}, ""},
		{"::fffe:0:0/95", AllowRule{Network: pfx("::fffe:0:0/95")}, ""},
		{"[::1]", AllowRule{Network: pfx("::1/128")}, ""},
		{"::1", AllowRule{Network: pfx("::1/128")}, ""},
		{"*.App.internal", AllowRule{Host: "*.app.internal"}, ""},
		{"app-*.internal:*", AllowRule{Host: "app-*.internal", FirstPort: 1, LastPort: 65535}, ""},
		{"*", AllowRule{Host: "*"}, ""},
		{"*:80", AllowRule{Host: "*", FirstPort: 80, LastPort: 80}, ""},
		{":80", AllowRule{FirstPort: 80, LastPort: 80}, ""},
		{"", AllowRule{}, "empty"},
		{":", AllowRule{}, "from 1 to 65535"},
		{"a:0", AllowRule{}, "from 1 to 65535"},
		{"a:90-80", AllowRule{}, "above the last"},
		{"a:80-", AllowRule{}, "from 1 to 65535"},
		{"10.0.0.1/8", AllowRule{}, "write 10.0.0.0/8"},
		{"10.0.0.0/33", AllowRule{}, "CIDR"},
		{"10.0.0.*", AllowRule{}, "write a network"},
		{"a**b", AllowRule{}, "one *"},
		{"a b", AllowRule{}, "pattern of host names"},
		{"http://a", AllowRule{}, "from 1 to 65535"},
		{"[10.0.0.1]:80", AllowRule{}, "brackets"},
		{"[::1", AllowRule{}, "brackets"},
		{"[::1]80", AllowRule{}, "brackets"},
		{"[fe80::1%eth0]:80", AllowRule{}, "zones"},
		{"a:b:c", AllowRule{}, "pattern of host names"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseAllowRule(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}
