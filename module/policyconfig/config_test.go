// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/internal/options"
)

// The structs that Caddy documents and the table of options are the same list.
func TestPolicyConfigFollowsTheTable(t *testing.T) {
	kinds := map[options.Kind][]reflect.Type{
		options.Bool:     {reflect.TypeFor[*bool]()},
		options.Int:      {reflect.TypeFor[*int]()},
		options.Size:     {reflect.TypeFor[*int64]()},
		options.Float:    {reflect.TypeFor[*float64]()},
		options.Duration: {reflect.TypeFor[*caddy.Duration]()},
		options.String:   {reflect.TypeFor[string]()},
		options.Words:    {reflect.TypeFor[string]()},
		options.List:     {reflect.TypeFor[[]string]()},
	}
	fields := map[address.Scope]map[string]reflect.Type{
		address.ScopePool:    fieldTypes(reflect.TypeFor[Config]()),
		address.ScopeAddress: fieldTypes(reflect.TypeFor[AddressOptions]()),
	}
	for _, opt := range address.OptionTable() {
		typ := fields[opt.Scope][opt.Name]
		if !slices.Contains(kinds[opt.Kind], typ) {
			t.Errorf("option %s has a field of type %v, want %v", opt.Name, typ, kinds[opt.Kind])
		}
		delete(fields[opt.Scope], opt.Name)
	}
	delete(fields[address.ScopePool], "nested")
	delete(fields[address.ScopePool], "address_options")
	for scope, left := range fields {
		for name := range left {
			t.Errorf("field %s of scope %d is no option", name, scope)
		}
	}
}

func fieldTypes(s reflect.Type) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for field := range s.Fields() {
		types[jsonName(field)] = field.Type
	}
	return types
}

// The comments of the fields are user documentation; each tells its default.
func TestPolicyConfigComments(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{"nested": "none", "address_options": "none"}
	for _, opt := range address.OptionTable() {
		defaults[opt.Name] = strings.ReplaceAll(opt.Default, "`", "")
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok || field.Tag == nil {
			return true
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(field.Tag.Value, "`json:\""), ",")
		text := strings.ReplaceAll(strings.Join(strings.Fields(field.Doc.Text()), " "), "`", "")
		if !strings.HasSuffix(text, "Default: "+defaults[name]) {
			t.Errorf("the comment of %s does not end with its default %q: %s", name, defaults[name], text)
		}
		seen++
		return true
	})
	if seen != len(defaults) {
		t.Errorf("found %d fields, want %d", seen, len(defaults))
	}
}

func TestPolicyConfigJSON(t *testing.T) {
	tests := []struct{ name, in, err string }{
		{"empty", `{}`, ""},
		{"explicit defaults", `{"randomize": true, "timeout": -1, "reconnect_jitter": 0.2}`, ""},
		{"durations", `{"initial_reconnect_delay": "20ms", "max_reconnect_delay": 1000000000}`, ""},
		{"nested", `{"nested": {"max_requests": 0}}`, ""},
		{"addresses", `{"address_options": {"10.0.0.1:80": {"so_timeout": "1s"}, "unix//run/x": {"max_requests": 1}}}`, ""},
		{"null", `{"randomize": null, "nested": null, "address_options": {"a:80": null}}`, ""},
		{"unknown", `{"randomise": true}`, `unknown option "randomise": did you mean randomize? allowed are initial_reconnect_delay, `},
		{"unknown nested", `{"nested": {"bogus": 1}}`, `nested: unknown option "bogus": allowed are max_requests, `},
		{"unknown of an address", `{"address_options": {"b:80": {}, "a:80": {"so_timeot": 1}}}`, `address_options: a:80: unknown option "so_timeot": did you mean so_timeout? `},
		{"wrong type", `{"randomize": "true"}`, `option randomize: value "true" is not allowed: expecting true or false`},
		{"range", `{"max_reconnect_attempts": -2}`, "option max_reconnect_attempts: value \"-2\" is not allowed: expecting -1 (no limit)"},
		{"jitter", `{"reconnect_jitter": 1.5}`, "option reconnect_jitter"},
		{"timeout", `{"timeout": 0}`, "option timeout"},
		{"timeout in negative seconds", `{"timeout": "-5s"}`, "option timeout"},
		{"affinity", `{"affinity": "cookie"}`, "option affinity"},
		{"ping", `{"ping": "/health"}`, "option ping"},
		{"pool", `{"pool": "a/b"}`, "option pool"},
		{"priority", `{"priority_uris": ["http://"]}`, "option priority_uris"},
		{"allow", `{"update_uris_allow": [""]}`, "option update_uris_allow"},
		{"url", `{"update_uris_url": "ftp://a"}`, "option update_uris_url"},
		{"nested range", `{"nested": {"connection_timeout": 0}}`, "nested option connection_timeout"},
		{"address range", `{"address_options": {"a:80": {"max_requests": -1}}}`, "address_options of a:80: option max_requests"},
		{"address", `{"address_options": {"http://a:80": {}}}`, "a dial address has no scheme"},
		{"address twice", `{"address_options": {"a:80": {}, "A:080": {}}}`, "a:80 is there twice"},
		{"contradiction", `{"initial_reconnect_delay": "1m"}`, "contradict each other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			err := caddy.StrictUnmarshalJSON([]byte(tt.in), &c)
			if err == nil {
				_, _, err = c.options()
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q in it", err, tt.err)
			}
		})
	}
}

func TestPolicyConfigDefaults(t *testing.T) {
	o, addresses, err := new(Config).options()
	if err != nil || !reflect.DeepEqual(o, address.DefaultOptions()) || len(addresses) != 0 {
		t.Errorf("got %+v, %v, %v", o, addresses, err)
	}
}

func TestPolicyConfigValues(t *testing.T) {
	var c Config
	err := caddy.StrictUnmarshalJSON([]byte(`{
		"randomize": false, "timeout": "5s", "startup_max_reconnect_attempts": -1, "max_reconnect_attempts": 3,
		"nested": {"so_timeout": "1s"}, "max_cache_size": 7, "priority_uris": ["B:80", "http://c:80"],
		"address_options": {"[0:0::1]:80": {"max_requests": 4}}
	}`), &c)
	if err != nil {
		t.Fatal(err)
	}
	got, addresses, err := c.options()
	if err != nil {
		t.Fatal(err)
	}
	want := address.DefaultOptions()
	want.Randomize, want.Timeout, want.TimeoutSet = false, 5*time.Second, true
	want.MaxReconnectAttempts, want.StartupMaxReconnectAttempts, want.StartupMaxReconnectAttemptsSet = 3, -1, true
	want.Nested.SoTimeout, want.MaxCacheSize = new(time.Second), 7
	want.PriorityURIs = []address.URI{{Host: "b", Port: "80"}, {Scheme: "http", Host: "c", Port: "80"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if !reflect.DeepEqual(addresses, map[string]address.URIOptions{"[::1]:80": {MaxRequests: new(4)}}) {
		t.Errorf("got %+v", addresses)
	}
	names := []string{"max_reconnect_attempts", "startup_max_reconnect_attempts", "randomize", "priority_uris", "timeout", "max_cache_size", "nested.so_timeout"}
	if given := c.given(); !slices.Equal(given, names) {
		t.Errorf("given are %q, want %q", given, names)
	}
}

// An address, taken over into a configuration, means the same there.
func TestPolicyConfigSetAddress(t *testing.T) {
	addresses := []string{
		"failover:(http://a,http://b)",
		"failover:(http://a?maxRequests=0,http://[::1]:8080?soTimeout=5&connectionTimeout=1)?nested.wireFormat.maxInactivityDuration=0",
		"failover:(http://a,http://b)?initialReconnectDelay=1&maxReconnectDelay=2&useExponentialBackOff=false&reconnectDelayExponent=1.25&maxReconnectAttempts=3&startupMaxReconnectAttempts=0&randomize=false&priorityBackup=true&priorityURIs=http://b&backup=true&backupPoolSize=2&timeout=-1&trackMessages=true&maxCacheSize=0&updateURIsSupported=false&updateURIsURL=/x&rebalanceUpdateURIs=false&reconnectSupported=false&warnAfterReconnectAttempts=-3&nested.maxRequests=1&nested.connectionTimeout=1&nested.soTimeout=0",
		"(tcp://a,tcp://b)?ha=true&reconnectAttempts=3",
	}
	for _, s := range addresses {
		t.Run(s, func(t *testing.T) {
			a, err := address.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			var c, again Config
			c.SetAddress(a)
			data, err := json.Marshal(&c)
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.StrictUnmarshalJSON(data, &again); err != nil {
				t.Fatal(err)
			}
			o, byAddress, err := again.options()
			if err != nil || !reflect.DeepEqual(o, a.Options) {
				t.Errorf("%v: got\n%+v, want\n%+v", err, o, a.Options)
			}
			for _, u := range a.URIs {
				if !reflect.DeepEqual(byAddress[u.Dial()], u.Options) {
					t.Errorf("%s has options %+v", u, byAddress[u.Dial()])
				}
			}
		})
	}
}
