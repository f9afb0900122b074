// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// Routes returns what this process serves. All of /broker/ has one prefix, so that an
// operator can grant it; what wins over Caddy's own paths is more specific than those.
func (a *Admin) Routes() []caddy.AdminRoute {
	routes := []caddy.AdminRoute{{Pattern: "/broker/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
	switch a.role {
	case roleChild:
		routes = append(routes, refusals()...)
		routes = append(routes, upstreams())
	case rolePlain:
		routes = append(routes, upstreams())
		routes = append(routes, caddy.AdminRoute{Pattern: "POST /load", Handler: caddy.AdminHandlerFunc(serveLoad)})
	case roleParent:
		routes = append(routes, caddy.AdminRoute{Pattern: "POST /load", Handler: caddy.AdminHandlerFunc(serveLoad)})
		routes = append(routes, userConfig.routes()...)
		routes = append(routes, forwards()...)
		routes = strict(routes)
	}
	return mountable(routes, a.logger)
}

// otherPatterns are those of Caddy and of all other modules.
func otherPatterns() []string {
	patterns := slices.Clone(assumed.AdminPatterns)
	for _, m := range caddy.GetModules("admin.api") {
		if m.ID == moduleID {
			continue
		}
		for _, route := range routesOf(m) {
			patterns = append(patterns, route.Pattern)
		}
	}
	return patterns
}

// routesOf are the routes that a module has without having been provisioned: none, if it
// must be for that.
func routesOf(m caddy.ModuleInfo) (routes []caddy.AdminRoute) {
	defer func() {
		if recover() != nil {
			routes = nil
		}
	}()
	if router, ok := m.New().(caddy.AdminRouter); ok {
		routes = router.Routes()
	}
	return routes
}

// mountable leaves out the routes with which Caddy's own mux would panic, as it does
// when a module that is not known here has the same pattern.
func mountable(routes []caddy.AdminRoute, logger *zap.Logger) []caddy.AdminRoute {
	trial := http.NewServeMux()
	for _, pattern := range otherPatterns() {
		mount(trial, pattern)
	}
	return slices.DeleteFunc(routes, func(route caddy.AdminRoute) bool {
		conflict := mount(trial, route.Pattern)
		if conflict != nil {
			logger.Warn("leaving out a path of the admin API, which another module has", zap.String("pattern", route.Pattern), zap.Any("conflict", conflict))
		}
		return conflict != nil
	})
}

// mount returns what mux panics with.
func mount(mux *http.ServeMux, pattern string) (conflict any) {
	defer func() { conflict = recover() }()
	mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

// methods are those that the admin endpoint has a use for.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// winning are the patterns that win over another one for all that it matches. Over a
// subtree narrower paths win, over anything else the same path with a method: a mixture
// would conflict. It is nothing for one that names a method or a host already.
func winning(pattern string) []string {
	if !strings.HasPrefix(pattern, "/") {
		return nil
	}
	if strings.HasSuffix(pattern, "/") {
		return []string{pattern + "{$}", pattern + "{broker_s}", pattern + "{broker_s}/{broker_rest...}"}
	}
	patterns := make([]string, len(methods))
	for i, method := range methods {
		patterns[i] = method + " " + pattern
	}
	return patterns
}
