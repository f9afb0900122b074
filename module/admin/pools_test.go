// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// newPoolSite serves pools of two backends, which say their names, in this order: each
// at the path that is its name.
func newPoolSite(t *testing.T, pools ...string) (site string, addresses []string) {
	t.Helper()
	var upstreams []any
	for _, name := range []string{"one", "two"} {
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
		t.Cleanup(b.Close)
		addresses = append(addresses, b.Listener.Addr().String())
		upstreams = append(upstreams, map[string]any{"dial": addresses[len(addresses)-1]})
	}
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir()))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	handlers := make(map[string]*reverseproxy.Handler)
	for _, pool := range pools {
		raw, err := json.Marshal(map[string]any{"upstreams": upstreams, "load_balancing": map[string]any{
			"selection_policy": map[string]any{"policy": "failover", "pool": pool, "randomize": false, "update_uris_supported": false},
		}})
		if err != nil {
			t.Fatal(err)
		}
		mod, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", raw)
		if err != nil {
			t.Fatal(err)
		}
		handlers["/"+pool] = mod.(*reverseproxy.Handler)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
		if err := handlers[r.URL.Path].ServeHTTP(w, r, nil); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(func() {
		srv.Close()
		cancel()
	})
	return srv.URL, addresses
}

// request asks the admin API.
func request(t *testing.T, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	if err := serveAdmin(rec, httptest.NewRequest(method, path, nil)); err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestManualFailover by the admin API moves clients, and is shown by it until it ends.
func TestManualFailover(t *testing.T) {
	site, addresses := newPoolSite(t, "p")
	served := func(want string) {
		t.Helper()
		res, err := http.Get(site + "/p")
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
		rec := request(t, method, path)
		var s report.PoolStatus
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

// TestDraining an address: in one pool or in all that have it.
func TestDraining(t *testing.T) {
	site, addresses := newPoolSite(t, "p", "q")
	for _, path := range []string{"/p", "/q"} { // which puts their configuration into effect
		res, err := http.Get(site + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	for _, step := range []struct {
		path, uri string
		p, q      bool // drained afterwards
	}{
		{"/broker/pools/p/drain", addresses[1], true, false},
		{"/broker/drain", "http://" + addresses[1], true, true},
		{"/broker/pools/q/resume", addresses[1], true, false},
		{"/broker/resume", addresses[1], false, false},
	} {
		if w := request(t, http.MethodPost, step.path+"?uri="+step.uri); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", step.path, w.Code, w.Body)
		}
		var all []report.PoolStatus
		if err := json.Unmarshal(request(t, http.MethodGet, "/broker/pools").Body.Bytes(), &all); err != nil || len(all) != 2 {
			t.Fatalf("%s: pools %+v, %v", step.path, all, err)
		}
		for i, want := range []bool{step.p, step.q} {
			if got := all[i].Upstreams[1].State == "drained"; got != want {
				t.Errorf("%s: drained in pool %s: %t, want %t", step.path, all[i].Name, got, want)
			}
		}
	}
	var answer []report.PoolStatus
	w := request(t, http.MethodPost, "/broker/drain?uri="+addresses[0])
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer) != 2 {
		t.Errorf("the answer is %s, want both pools", w.Body)
	}
	request(t, http.MethodPost, "/broker/resume?uri="+addresses[0])
	for uri, status := range map[string]int{"http://10.0.0.9:1": 404, "?": 400, "": 400} {
		if w := request(t, http.MethodPost, "/broker/drain?uri="+url.QueryEscape(uri)); w.Code != status {
			t.Errorf("draining %q: %d %s", uri, w.Code, w.Body)
		}
	}
}
