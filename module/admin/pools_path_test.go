// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TestPoolNamedByAPath: a pool is called by its first address, which may be that of a
// unix socket; with its slashes escaped it is found, and operated, like any other.
func TestPoolNamedByAPath(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	b := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.NotFoundHandler()}}
	b.Start()
	defer b.Close()
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir()))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	defer cancel()
	raw, err := json.Marshal(map[string]any{
		"upstreams":      []any{map[string]any{"dial": "unix/" + socket}},
		"load_balancing": map[string]any{"selection_policy": map[string]any{"policy": "failover", "update_uris_supported": false}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", raw)
	if err != nil {
		t.Fatal(err)
	}
	// The first request puts the pool into effect.
	rec := httptest.NewRecorder()
	r := caddyhttp.PrepareRequest(httptest.NewRequest("GET", "/", nil), caddy.NewReplacer(), rec, &caddyhttp.Server{})
	if err := handler.(*reverseproxy.Handler).ServeHTTP(rec, r, nil); err != nil || rec.Code != http.StatusNotFound {
		t.Fatalf("answered %d, %v", rec.Code, err)
	}
	name := "unix/" + socket
	mux := http.NewServeMux() // as Caddy's admin endpoint has
	for _, route := range new(Admin).Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler.ServeHTTP(w, r); err != nil {
				t.Error(err)
			}
		})
	}
	for _, c := range []struct{ method, rest, state string }{
		{"GET", "", "up"},
		{"POST", "/drain?uri=" + url.QueryEscape(name), "drained"},
		{"GET", "", "drained"},
	} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(c.method, "/broker/pools/"+url.PathEscape(name)+c.rest, nil))
		var s report.PoolStatus
		if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil || rec.Code != http.StatusOK || s.Name != name || s.Upstreams[0].State != c.state {
			t.Errorf("%s %s: %d %s (%v)", c.method, c.rest, rec.Code, rec.Body, err)
		}
	}
	rec = httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/broker/pools/unix%2F%2Fnone", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("a pool that there is not: %d %s", rec.Code, rec.Body)
	}
}
