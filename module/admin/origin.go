// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// consolePath is where a browser may go without having been anywhere before.
const consolePath = "/broker/console"

// errNoOrigin is what Caddy itself says to a browser that names no origin.
var errNoOrigin = caddy.APIError{HTTPStatus: http.StatusForbidden, Err: errors.New("client is not allowed to access from origin ''")}

// strict refuses what a browser asks for that names no origin, but for the console. The
// endpoint of a process that supervises lets it through for that alone.
func strict(routes []caddy.AdminRoute) []caddy.AdminRoute {
	for i, route := range routes {
		next := route.Handler
		routes[i].Handler = caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			if _, browser := r.Header["Sec-Fetch-Mode"]; browser && r.Header.Get("Origin") == "" && r.Header.Get("Referer") == "" && r.URL.Path != consolePath {
				return errNoOrigin
			}
			return next.ServeHTTP(w, r)
		})
	}
	return routes
}
