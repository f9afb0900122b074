// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

const moduleID = "admin.api.broker"

// Admin is the admin API under /broker/, and what Caddy's own paths mean in a process
// that supervises, or is supervised. Caddy may serve it from a configuration that
// failed, so all state is looked up with each request.
type Admin struct {
	role   role
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: moduleID, New: func() caddy.Module { return new(Admin) }}
}

// apiError is an error with the status that fits it.
type apiError struct {
	status int
	err    error
}

func (e apiError) Error() string { return e.err.Error() }

// asStock is an error as Caddy's own routes have them.
func asStock(err error) error {
	if e, ok := errors.AsType[apiError](err); ok {
		return caddy.APIError{HTTPStatus: e.status, Err: e.err}
	}
	return err
}

func failure(status int, format string, args ...any) error {
	return apiError{status, fmt.Errorf(format, args...)}
}

// serveAdmin answers errors itself, as {"error": "…"}.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	err := routeAdmin(w, r)
	if err == nil {
		return nil
	}
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[apiError](err); ok {
		status = e.status
	}
	return answer(w, status, map[string]string{"error": err.Error()})
}

func answer(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(body)
}

func routeAdmin(w http.ResponseWriter, r *http.Request) error {
	parts, err := segments(r)
	if err != nil {
		return err
	}
	switch parts[0] {
	case "":
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		if r.URL.Query().Has("watch") {
			return watch(w, r)
		}
		return answer(w, http.StatusOK, look(r.Context()))
	case "check":
		return adminCheck(w, r)
	case "children":
		return adminChildren(w, r, parts[1:])
	case "events":
		return adminEvents(w, r)
	case "upgrade":
		return adminUpgrade(w, r)
	case "generations", "rollback":
		return adminGenerations(w, r, parts[0])
	case "console":
		return adminConsole(w, r, parts[1:])
	case "pools", "in-doubt", "drain", "resume":
		return adminPool(w, r, parts)
	}
	return failure(http.StatusNotFound, "no resource %q under /broker/: there are check, children, pools, drain, resume, in-doubt, events, generations, rollback, upgrade and console", parts[0])
}

// segments are the parts of the path below the prefix. A name that has slashes, as
// that of a pool whose first address is a unix socket, is one part with its slashes
// escaped.
func segments(r *http.Request) ([]string, error) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), "/broker/"), "/"), "/")
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			return nil, failure(http.StatusBadRequest, "reading path: %w", err)
		}
	}
	return parts, nil
}

func method(r *http.Request, allowed ...string) error {
	if slices.Contains(allowed, r.Method) {
		return nil
	}
	return failure(http.StatusMethodNotAllowed, "method %s is not allowed here: use %s", r.Method, strings.Join(allowed, " or "))
}

// Interface guards
var (
	_ caddy.AdminRouter = (*Admin)(nil)
	_ caddy.Provisioner = (*Admin)(nil)
)
