// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// otherPlugins has the shapes of the routes that plugins are known to have.
type otherPlugins struct{}

func (otherPlugins) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.routes_test", New: func() caddy.Module { return new(otherPlugins) }}
}

func (otherPlugins) Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	for _, pattern := range []string{
		"/frankenphp/workers/restart", "/crowdsec/", "/souin-api/{params...}", "/defender/blocklist", "/defender/blocklist/",
		"GET /with/method", "example.com/with/host",
	} {
		routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })})
	}
	return routes
}

// unroutable has routes only when it was provisioned.
type unroutable struct{ routes *[]caddy.AdminRoute }

func (unroutable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.routes_test_late", New: func() caddy.Module { return new(unroutable) }}
}

func (u *unroutable) Provision(caddy.Context) error {
	u.routes = new([]caddy.AdminRoute)
	return nil
}

func (u *unroutable) Routes() []caddy.AdminRoute { return *u.routes }

func init() {
	caddy.RegisterModule(otherPlugins{})
	caddy.RegisterModule(unroutable{})
}

// TestOurPatternsWin over Caddy's and all other modules' where they should, and none of
// them makes Caddy's mux panic.
func TestOurPatternsWin(t *testing.T) {
	t.Parallel()
	a := &Admin{role: roleParent, logger: zap.NewNop()}
	ours := a.Routes()
	mux := http.NewServeMux()
	for _, pattern := range otherPatterns() {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	for _, route := range ours {
		mux.Handle(route.Pattern, http.NotFoundHandler())
	}
	for _, c := range []struct {
		request string
		ours    bool
	}{
		{"GET /config/", true},
		{"POST /config/", true},
		{"DELETE /config/apps", true},
		{"PATCH /config/apps/http/servers/x", true},
		{"GET /config/admin/", true},
		{"GET /config/logging", true},
		{"PUT /config/storage/root", true},
		{"OPTIONS /config/apps/", true},
		{"GET /config/none", true},
		{"PUT /config/Apps", true},
		{"GET /config/apps%2Fhttp%2Fservers", true},
		{"GET /config/...", true},
		{"GET /config/none/deep", false},
		{"GET /config/apps%2Fhttp/servers", false},
		{"GET /id/x", true},
		{"PATCH /id/x/y/z", true},
		{"GET /id/", false},
		{"POST /load", true},
		{"GET /load", false},
		{"POST /adapt", false},
		{"POST /stop", false},
		{"GET /metrics", false},
		{"GET /broker/children", true},
		{"GET /pki/ca/local", true},
		{"GET /pki/", true},
		{"GET /pki/ca/local/certificates", true},
		{"GET /debug/pprof/", true},
		{"GET /debug/pprof/heap", true},
		{"GET /debug/pprof/cmdline", true},
		{"POST /debug/pprof/symbol", true},
		{"GET /debug/vars", true},
		{"POST /frankenphp/workers/restart", true},
		{"GET /crowdsec/a/b", true},
		{"GET /souin-api/a/b", true},
		{"GET /defender/blocklist", true},
		{"DELETE /defender/blocklist/1", true},
		{"GET /with/method", false},
		{"GET http://example.com/with/host", false},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		_, pattern := mux.Handler(httptest.NewRequest(method, target, nil))
		if is := slices.ContainsFunc(ours, func(r caddy.AdminRoute) bool { return r.Pattern == pattern }); is != c.ours {
			t.Errorf("%s is served by %q; ours: %v, want %v", c.request, pattern, is, c.ours)
		}
	}
}

// TestWhatConflictsIsLeftOut: a pattern that another module has too is given up, and said
// to be, instead of making every load panic.
func TestWhatConflictsIsLeftOut(t *testing.T) {
	t.Parallel()
	core, logged := observer.New(zap.WarnLevel)
	route := func(pattern string) caddy.AdminRoute { return caddy.AdminRoute{Pattern: pattern} }
	kept := mountable([]caddy.AdminRoute{route("/broker/"), route("/crowdsec/"), route("GET /debug/"), route("POST /load")}, zap.New(core))
	if len(kept) != 2 || kept[0].Pattern != "/broker/" || kept[1].Pattern != "POST /load" {
		t.Errorf("kept %v", kept)
	}
	if n := logged.FilterMessageSnippet("another module").Len(); n != 2 {
		t.Errorf("%d warnings, want 2", n)
	}
}

// TestCaddysOwnPatterns are all known here: each is served by Caddy's endpoint.
func TestCaddysOwnPatterns(t *testing.T) {
	stock := stockEndpoint(t)
	for _, pattern := range assumed.AdminPatterns {
		if pattern == "/debug/pprof/profile" || pattern == "/debug/pprof/trace" {
			continue // they take seconds
		}
		answer := httptest.NewRecorder()
		stock.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://localhost"+pattern, nil))
		if answer.Code == http.StatusNotFound {
			t.Errorf("Caddy does not serve %s any more", pattern)
		}
	}
}

// TestAfterTheSupervision: routes that were made for a process that supervises, and are
// still there when it does not, serve what Caddy's endpoint would have served.
func TestAfterTheSupervision(t *testing.T) {
	stock := stockEndpoint(t)
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux}
	serve := func(pattern string, h http.Handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(withServer(r, server)))
		})
	}
	serve("/", stock)
	serve("/config/", stock)
	serve("/id/", stock)
	for _, route := range (&Admin{role: roleParent, logger: zap.NewNop()}).Routes() {
		serve(route.Pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler.ServeHTTP(w, r); err != nil {
				answerAsCaddy(w, err)
			}
		}))
	}
	for _, c := range []struct {
		method, path, body string
	}{
		{"GET", "/config/", ""},
		{"GET", "/config/apps", ""},
		{"GET", "/config/apps/", ""},
		{"GET", "/config/apps/parity_anything/a/2", ""},
		{"GET", "/config/apps/parity_anything/a/9", ""},
		{"PATCH", "/config/apps/parity_anything/b", `{"e":"<x>"}`},
		{"GET", "/config/apps/parity_anything/b", ""},
		{"DELETE", "/config/apps/parity_anything/none", ""},
		{"GET", "/id/one", ""},
		{"GET", "/id/one/@id", ""},
		{"GET", "/id/two", ""},
		{"POST", "/load", parityStart},
		{"POST", "/load", `{"apps":{"none_of_that_name":{}}}`},
		{"POST", "/load", "{"},
		{"GET", "/debug/pprof/cmdline", ""},
		{"GET", "/pki/none", ""},
	} {
		want, got := httptest.NewRecorder(), httptest.NewRecorder()
		request := func() *http.Request {
			r := httptest.NewRequest(c.method, "http://localhost"+c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			return r
		}
		stock.ServeHTTP(want, request())
		mux.ServeHTTP(got, request())
		if want.Code != got.Code || want.Body.String() != got.Body.String() {
			t.Errorf("%s %s: Caddy %d %s, ours %d %s", c.method, c.path, want.Code, want.Body, got.Code, got.Body)
		}
	}
}

// TestNoLoop: a request that would come back for ever is answered.
func TestNoLoop(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux}
	times := 0
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		times++
		if err := elsewhere(w, r.WithContext(withServer(r, server))); err != nil {
			answerAsCaddy(w, err)
		}
	})
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/config/apps/http", nil))
	if answer.Code != http.StatusLoopDetected || times > mostAgain+1 {
		t.Errorf("status %d after %d times", answer.Code, times)
	}
}
