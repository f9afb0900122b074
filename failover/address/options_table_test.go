// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// configUnits read what a Caddyfile holds, as far as the standard library can.
var configUnits = options.Units{
	Duration:     time.ParseDuration,
	Size:         func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) },
	DurationText: options.DurationText,
	SizeText:     options.SizeText,
}

func TestTableIsComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, o := range OptionTable() {
		t.Run(o.Name, func(t *testing.T) {
			if o.Default == "" || o.Allowed == "" || !strings.HasSuffix(o.Effect, ".") {
				t.Error("default, allowed values or effect is missing")
			}
			for _, name := range append([]string{o.Name}, o.Address...) {
				if seen[name] && name != o.Name {
					t.Errorf("name %s is taken", name)
				}
				seen[name] = true
			}
			found, err := LookupOption(o.Scope, o.Name)
			if err != nil || found.Name != o.Name {
				t.Errorf("looking it up: %v, %v", found.Name, err)
			}
			if o.Kind == options.Duration && !strings.Contains(o.Expecting(configUnits), options.DurationText) {
				t.Errorf("errors do not name the unit: %s", o.Expecting(configUnits))
			}
			if o.Kind == options.Size && !strings.Contains(o.Expecting(configUnits), options.SizeText) {
				t.Errorf("errors do not name the unit: %s", o.Expecting(configUnits))
			}
		})
	}
}

// The default that people read is the one that counts.
func TestTableDefaults(t *testing.T) {
	def := DefaultOptions()
	addr := map[string]string{"max_requests": "0", "connection_timeout": options.DurationString(DefaultConnectionTimeout), "so_timeout": "0", "max_inactivity_duration": options.DurationString(DefaultMaxInactivityDuration)}
	for _, o := range OptionTable() {
		want := addr[o.Name]
		if o.Scope == ScopePool {
			want = options.Text(o.Get(&def))
		}
		got := o.Default
		switch o.Name {
		case "startup_max_reconnect_attempts", "priority_uris", "update_uris_url", "update_uris_allow", "discovery", "affinity", "pool":
			if want != "" && want != "-1" {
				t.Errorf("%s: the default %q is not what the text %q says", o.Name, want, got)
			}
			continue
		case "ping":
			got = strings.Trim(got, "`")
		}
		var read Options
		err := o.Read(&read, got, configUnits)
		if err != nil || options.Text(o.Get(&read)) != want {
			t.Errorf("%s: the text says %q, the default is %q (%v)", o.Name, got, want, err)
		}
	}
}

// valuesForAll has for each option a value that is not its default.
var valuesForAll = map[string]string{
	"initial_reconnect_delay": "1ms", "max_reconnect_delay": "1m", "use_exponential_backoff": "false",
	"reconnect_delay_exponent": "1.5", "reconnect_jitter": "0", "max_reconnect_attempts": "3",
	"startup_max_reconnect_attempts": "4", "randomize": "false", "priority_backup": "true",
	"priority_uris": "http://b:1,c:2", "failback_delay": "2s", "backup": "true", "backup_pool_size": "2",
	"timeout": "5s", "max_waiting": "1", "track_messages": "true", "max_cache_size": "5",
	"update_uris_supported": "false", "update_uris_url": "/x", "update_uris_allow": "10.0.0.0/8,:80", "discovery": "mdns _http._tcp",
	"rebalance_update_uris": "false", "reconnect_supported": "false", "warn_after_reconnect_attempts": "0",
	"affinity": "header x-tenant", "ping": "GET /health?deep=1", "pool": "shop",
	"max_requests": "5", "connection_timeout": "1s", "so_timeout": "2s", "max_inactivity_duration": "0",
}

// setAll gives every option its value of valuesForAll.
func setAll(t *testing.T) Options {
	t.Helper()
	o := DefaultOptions()
	for _, opt := range OptionTable() {
		if err := opt.Read(&o, valuesForAll[opt.Name], configUnits); err != nil {
			t.Fatalf("%s: %v", opt.Name, err)
		}
	}
	return o
}

func TestTableReachesEveryField(t *testing.T) {
	o := setAll(t)
	def := DefaultOptions()
	for i := range reflect.TypeFor[Options]().NumField() {
		name := reflect.TypeFor[Options]().Field(i).Name
		if reflect.DeepEqual(reflect.ValueOf(o).Field(i).Interface(), reflect.ValueOf(def).Field(i).Interface()) {
			t.Errorf("no option sets %s", name)
		}
	}
	for i := range reflect.TypeFor[URIOptions]().NumField() {
		if reflect.ValueOf(o.Nested).Field(i).IsNil() {
			t.Errorf("no option sets %s", reflect.TypeFor[URIOptions]().Field(i).Name)
		}
	}
}

func TestSetKeepsTheOldValueOnError(t *testing.T) {
	bad := map[options.Kind]any{
		options.Bool: "true", options.Int: -1000000.5, options.Size: int64(-5), options.Float: -1.0, options.Duration: time.Duration(-5),
		options.String: "://", options.Words: "no such", options.List: []string{"", " "},
	}
	for _, opt := range OptionTable() {
		t.Run(opt.Name, func(t *testing.T) {
			o := DefaultOptions()
			err := opt.Set(&o, bad[opt.Kind])
			if err == nil {
				t.Fatalf("%v was taken", bad[opt.Kind])
			}
			if !strings.Contains(err.Error(), opt.Expecting(options.JSONUnits)) {
				t.Errorf("the error does not say what is allowed: %v", err)
			}
			if !reflect.DeepEqual(o, DefaultOptions()) {
				t.Errorf("options have changed: %+v", o)
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	tests := []struct{ option, text, want, err string }{
		{"affinity", "client_ip", "client_ip", ""},
		{"affinity", "request", "request", ""},
		{"affinity", "pool", "pool", ""},
		{"affinity", "cookie lb", "cookie lb", ""},
		{"affinity", "header x-tenant", "header X-Tenant", ""},
		{"affinity", "cookie", "", "cookie needs one name"},
		{"affinity", "header", "", "header needs one name"},
		{"affinity", "cookie a b", "", "cookie needs one name"},
		{"affinity", "cookie a;b", "", "cookie needs one name"},
		{"affinity", "header a:b", "", "header needs one name"},
		{"affinity", "pool x", "", "pool takes no name"},
		{"affinity", "ip_hash", "", "expecting client_ip, cookie NAME"},
		{"affinity", "", "", "expecting client_ip, cookie NAME"},
		{"discovery", "mdns _my-app._tcp", "mdns _my-app._tcp", ""},
		{"discovery", "mdns", "", "_NAME._tcp"},
		{"discovery", "mdns http", "", "_NAME._tcp"},
		{"discovery", "mdns _http._tcp.local", "", "_NAME._tcp"},
		{"discovery", "mdns _http._udp", "", "_NAME._tcp"},
		{"discovery", "mdns _a.b._tcp", "", "_NAME._tcp"},
		{"discovery", "mdns _longer-than-15-bytes._tcp", "", "_NAME._tcp"},
		{"discovery", "srv _http._tcp", "", "dynamic srv"},
		{"ping", "GET /health", "GET /health", ""},
		{"ping", "OPTIONS *", "OPTIONS *", ""},
		{"ping", "HEAD /a%20b?c=d", "HEAD /a%20b?c=d", ""},
		{"ping", "/health", "", "the method is missing"},
		{"ping", "GET", "", "the URI is missing"},
		{"ping", "GET *", "", "* goes with OPTIONS only"},
		{"ping", "get /", "", "write GET"},
		{"ping", "G(T /", "", "is not a method"},
		{"ping", "CONNECT /", "", "is not a method"},
		{"ping", "GET health", "", "begin with a slash"},
		{"ping", "GET http://a/", "", "begin with a slash"},
		{"ping", "GET / x", "", "a blank"},
		{"ping", "GET /#x", "", "a fragment"},
		{"ping", "GET /%zz", "", "percent escape"},
		{"ping", "GET /\r\nX: y", "", "percent escape"},
		{"pool", "a-b_c.d:80", "a-b_c.d:80", ""},
		{"pool", "[::1]:80", "[::1]:80", ""},
		{"pool", "", "", "letters, digits"},
		{"pool", "a b", "", "letters, digits"},
		{"pool", "a/b", "", "letters, digits"},
		{"pool", "a#2", "", "letters, digits"},
		{"pool", strings.Repeat("a", 101), "", "up to 100"},
		{"timeout", "-1", "-1", ""},
		{"timeout", "1m", "1m", ""},
		{"timeout", "0", "", "above 0"},
		{"timeout", "-1s", "", "above 0"},
		{"reconnect_jitter", "1", "1", ""},
		{"reconnect_jitter", "1.01", "", "from 0 to 1"},
		{"reconnect_jitter", "-0.1", "", "from 0 to 1"},
		{"failback_delay", "0", "0", ""},
		{"failback_delay", "-1", "", "at least 0"},
		{"max_waiting", "0", "0", ""},
		{"max_waiting", "-1", "", "at least 0"},
		{"priority_uris", "10.0.0.1:80,unix//run/x", "10.0.0.1:80 unix//run/x", ""},
		{"priority_uris", "10.0.0.1", "", `address "10.0.0.1": it has no port`},
		{"update_uris_allow", "10.0.0.0/8,:80", "10.0.0.0/8 :80", ""},
		{"update_uris_allow", "10.0.0.0/8,", "", `entry "": the rule is empty`},
	}
	for _, tt := range tests {
		t.Run(tt.option+" "+tt.text, func(t *testing.T) {
			opt, err := LookupOption(ScopePool, tt.option)
			if err != nil {
				t.Fatal(err)
			}
			o := DefaultOptions()
			err = opt.Read(&o, tt.text, configUnits)
			switch {
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err == "" && options.Text(opt.Get(&o)) != tt.want:
				t.Errorf("got %q, want %q", options.Text(opt.Get(&o)), tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %q in it", err, tt.err)
			}
		})
	}
}

func TestLookupOptionErrors(t *testing.T) {
	tests := []struct {
		scope      Scope
		name, want string
	}{
		{ScopePool, "bogus", `unknown option "bogus": allowed are initial_reconnect_delay, max_reconnect_delay`},
		{ScopePool, "priorityBackup", "did you mean priority_backup"},
		{ScopePool, "backOffMultiplier", "did you mean reconnect_delay_exponent"},
		{ScopePool, "so_timeout", "option of single addresses"},
		{ScopeAddress, "randomize", "option of the pool"},
		{ScopeAddress, "wireFormat.maxInactivityDuration", "did you mean max_inactivity_duration"},
		{ScopeAddress, "bogus", "allowed are max_requests, connection_timeout, so_timeout, max_inactivity_duration"},
		{ScopePool, "", `unknown option ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LookupOption(tt.scope, tt.name)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
