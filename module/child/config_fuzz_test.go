// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// served is of a configuration what Caddy reads of it, names in any case.
type served struct {
	Admin *caddy.AdminConfig
	Apps  map[string]json.RawMessage // their names are exact
}

type servedHTTP struct {
	Servers map[string]struct {
		Listen []string
		Routes []json.RawMessage
	}
}

// servers are those of the app http.
func (s served) servers() (http servedHTTP, err error) {
	if raw, ok := s.Apps["http"]; ok {
		err = json.Unmarshal(raw, &http)
	}
	return http, err
}

// FuzzPrepareConfig: whatever a child shall serve, Caddy sees our admin endpoint
// and nothing of another one, no server listens on a network of the system's, and
// each has the guard and then all of its own routes.
func FuzzPrepareConfig(f *testing.F) {
	for _, s := range []string{
		`{"admin":{"listen":"localhost:2019","remote":{"listen":":2021"}},"apps":{"http":{"servers":{"a":{"listen":[":80","unix//run/x.sock|0660"],"routes":[{"handle":[]}]}}}}}`,
		`{"apps":{"http":{"servers":{"a":{"listen":["UDP/:443"," tcp4 /:1","tailscale/a:80"]},"b":{"routes":null}}},"tls":{}}}`,
		`{"Admin":{"remote":{"listen":":2021"}},"Apps":{"http":{"Servers":{"a":{"Listen":[":80"],"ROUTES":[{"handle":[]}]}}}}}`,
		`{"apps":{"http":{"servers":{"a":{"listen":[":80"],"listeN":[":81"]}}}}}`,
		`{"apps":{"http":{"servers":{"a":null}}}}`, `{"apps":{"http":null}}`, `{"apps":null}`, `null`, `[]`,
	} {
		f.Add([]byte(s))
	}
	persist := false
	systems := slices.Collect(maps.Values(networks))
	admin := &caddy.AdminConfig{Listen: "unix//run/admin.sock|0600", Config: &caddy.ConfigSettings{Persist: &persist}}
	f.Fuzz(func(t *testing.T, config []byte) {
		var whole any
		notJSON := json.Unmarshal(config, &whole)
		if notJSON == nil { // of a name that is there twice the last one counts
			config, _ = json.Marshal(whole)
		}
		if bytes.Contains(config, []byte(`{file.`)) {
			return // that would be read
		}
		out, err := PrepareConfig(config, "/run/admin.sock")
		if err != nil {
			return
		}
		if notJSON != nil {
			t.Fatalf("%q became %s", config, out)
		}
		var before, after served
		_ = json.Unmarshal(config, &before) // an admin endpoint that cannot be read is replaced, too
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !reflect.DeepEqual(after.Admin, admin) {
			t.Fatalf("the admin endpoint of %s is %+v", out, after.Admin)
		}
		was, err := before.servers()
		if err != nil {
			return // Caddy refuses it
		}
		is, err := after.servers()
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		for name, srv := range is.Servers {
			for _, a := range srv.Listen {
				network, _, found := strings.Cut(a, "/")
				if !found || slices.Contains(systems, strings.ToLower(strings.TrimSpace(network))) {
					t.Fatalf("server %q listens on %q itself", name, a)
				}
			}
			if len(srv.Listen) != len(was.Servers[name].Listen) {
				t.Fatalf("server %q listens on %q, not %q", name, srv.Listen, was.Servers[name].Listen)
			}
			if len(srv.Routes) == 0 || !strings.HasPrefix(string(srv.Routes[0]), `{"handle":[{"handler":"broker_guard"`) {
				t.Fatalf("server %q has no guard: %s", name, srv.Routes)
			}
			if !slices.EqualFunc(srv.Routes[1:], was.Servers[name].Routes, sameJSON) {
				t.Fatalf("the routes of server %q were %s and are %s", name, was.Servers[name].Routes, srv.Routes[1:])
			}
		}
		if len(is.Servers) != len(was.Servers) {
			t.Fatalf("of %d servers there are %d", len(was.Servers), len(is.Servers))
		}
	})
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
