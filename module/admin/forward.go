// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"expvar"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// notForwarded are the modules whose routes are the parent's own affair.
var notForwarded = []caddy.ModuleID{moduleID, "admin.api.load", "admin.api.metrics"}

// debugging are Caddy's routes that tell of the process that serves them.
var debugging = map[string]http.HandlerFunc{
	"/debug/pprof/":        pprof.Index,
	"/debug/pprof/cmdline": pprof.Cmdline,
	"/debug/pprof/profile": pprof.Profile,
	"/debug/pprof/symbol":  pprof.Symbol,
	"/debug/pprof/trace":   pprof.Trace,
	"/debug/vars":          expvar.Handler().ServeHTTP,
}

// forwards are the routes of all other modules, which tell of what is served and so are
// answered by the process that serves. In a process that supervises nothing they are
// answered as without us.
func forwards() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	add := func(pattern string, own func() (caddy.AdminHandler, error)) {
		handler := caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			if c := broker.Find(broker.DefaultChild); c != nil {
				return asStock(forward(c, w, r, r.URL.Path))
			}
			h, err := own()
			if err != nil {
				return err
			}
			return h.ServeHTTP(w, r)
		})
		for _, p := range winning(pattern) {
			routes = append(routes, caddy.AdminRoute{Pattern: p, Handler: handler})
		}
	}
	for pattern, serve := range debugging {
		add(pattern, func() (caddy.AdminHandler, error) {
			return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				serve(w, r)
				return nil
			}), nil
		})
	}
	for _, m := range caddy.GetModules("admin.api") {
		if slices.Contains(notForwarded, m.ID) {
			continue
		}
		for _, route := range routesOf(m) {
			add(route.Pattern, func() (caddy.AdminHandler, error) { return ownHandler(m, route.Pattern) })
		}
	}
	return routes
}

// forward passes a request to the active process's own admin endpoint, as one for
// path, with which the request's own path ends.
func forward(c *broker.Hosted, w http.ResponseWriter, r *http.Request, path string) error {
	transport, err := c.Transport(r.Context())
	if err != nil {
		return apiError{http.StatusServiceUnavailable, err}
	}
	// A server that is told to close a connection does not read a body that its handler
	// has left, and what is still being sent then fails instead of being answered.
	transport.DisableKeepAlives = false
	defer transport.CloseIdleConnections()
	prefix := strings.TrimSuffix(r.URL.Path, path)
	to := &url.URL{
		Scheme: "http", Host: "127.0.0.1", Path: path, RawPath: strings.TrimPrefix(r.URL.EscapedPath(), prefix), RawQuery: r.URL.RawQuery,
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL = to
			pr.Out.Host = "127.0.0.1"
			pr.Out.Header.Del("Origin") // the parent's endpoint has checked it
			pr.Out.Header.Del("Sec-Fetch-Mode")
		},
		ModifyResponse: func(res *http.Response) error {
			if to := res.Header.Get("Location"); strings.HasPrefix(to, "/") {
				res.Header.Set("Location", prefix+to)
			}
			return nil
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			_ = answer(w, http.StatusBadGateway, map[string]string{"error": fmt.Sprintf("asking child %q: %v", c.Name(), err)})
		},
	}
	proxy.ServeHTTP(w, r)
	return nil
}
