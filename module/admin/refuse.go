// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// errWrongPlace refuses to change a process of a child.
var errWrongPlace = errors.New("this process runs what its broker gives it: change the configuration at the broker's own admin endpoint, /config/, /id/ and /load there, and stop it with `caddy broker stop`")

// refusals are what a supervised process does not do.
func refusals() []caddy.AdminRoute {
	refuse := caddy.AdminHandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		_, _ = io.CopyN(io.Discard, r.Body, maxBody) // or its sender might not hear of it
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: errWrongPlace}
	})
	patterns := []string{"POST /load", "POST /stop"}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		patterns = append(patterns, method+" "+configPrefix, method+" "+idPrefix)
	}
	routes := make([]caddy.AdminRoute, len(patterns))
	for i, pattern := range patterns {
		routes[i] = caddy.AdminRoute{Pattern: pattern, Handler: refuse}
	}
	return routes
}
