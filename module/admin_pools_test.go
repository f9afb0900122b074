// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
)

// newPoolSite serves a pool of two backends, which say their names, in this order.
func newPoolSite(t *testing.T) (site string, addresses []string) {
	t.Helper()
	var upstreams []any
	for _, name := range []string{"one", "two"} {
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
		t.Cleanup(b.Close)
		addresses = append(addresses, b.Listener.Addr().String())
		upstreams = append(upstreams, map[string]any{"dial": addresses[len(addresses)-1]})
	}
	raw, err := json.Marshal(map[string]any{"upstreams": upstreams, "load_balancing": map[string]any{
		"selection_policy": map[string]any{"policy": "failover", "pool": "p", "randomize": false, "update_uris_supported": false},
	}})
	if err != nil {
		t.Fatal(err)
	}
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir()))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	mod, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", raw)
	if err != nil {
		t.Fatal(err)
	}
	handler := mod.(*reverseproxy.Handler)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
		if err := handler.ServeHTTP(w, r, nil); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(func() {
		srv.Close()
		cancel()
	})
	return srv.URL, addresses
}

// TestManualFailover by the admin API moves clients, and is shown by it until it ends.
func TestManualFailover(t *testing.T) {
	site, addresses := newPoolSite(t)
	served := func(want string) {
		t.Helper()
		res, err := http.Get(site)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if name, _ := io.ReadAll(res.Body); string(name) != want {
			t.Errorf("%s answers, want %s", name, want)
		}
	}
	ask := func(method, path string, manual bool) {
		t.Helper()
		rec := httptest.NewRecorder()
		if err := serveAdmin(rec, httptest.NewRequest(method, path, nil)); err != nil {
			t.Fatal(err)
		}
		var s failover.PoolStatus
		if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s, %v", method, path, rec.Code, rec.Body, err)
		}
		if s.Upstreams[0].Manual || s.Upstreams[1].Manual != manual {
			t.Errorf("the API shows %+v, want the second one manual: %t", s.Upstreams, manual)
		}
	}
	served("one")
	ask(http.MethodGet, "/broker/pools/p", false)
	ask(http.MethodPost, "/broker/pools/p/failover?to="+addresses[1], true)
	served("two")
	ask(http.MethodGet, "/broker/pools/p", true)
	ask(http.MethodPost, "/broker/pools/p/failback", false)
}
