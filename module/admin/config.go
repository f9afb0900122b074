// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// configAPI is /config/ and /id/ of the user's configuration, with the answers of
// Caddy's own endpoint. Reading waits for no load: what is shown is what serves.
type configAPI struct {
	// shown is what serves; nil if this process supervises nothing.
	shown func() *document.Document
	// change returns when what was asked for serves.
	change func(context.Context, document.Request) error
}

// userConfig is the user's configuration that this process supervises.
var userConfig = configAPI{shown: broker.Shown, change: broker.Change}

const (
	configPrefix = "/config/"
	idPrefix     = "/id/"
	// maxBody is the longest body of a change that Caddy's endpoint takes.
	maxBody = 100 << 20
)

// routes are patterns that win over Caddy's, and leave other ways to these: see elsewhere.
func (c configAPI) routes() []caddy.AdminRoute {
	config, id := caddy.AdminHandlerFunc(c.serve), caddy.AdminHandlerFunc(c.serveID)
	routes := []caddy.AdminRoute{{Pattern: configPrefix + "{$}", Handler: config}, {Pattern: configPrefix + "{key}", Handler: config}}
	for _, key := range assumed.ConfigKeys {
		routes = append(routes, caddy.AdminRoute{Pattern: configPrefix + key + "/", Handler: config})
	}
	return append(routes,
		caddy.AdminRoute{Pattern: idPrefix + "{id}", Handler: id},
		caddy.AdminRoute{Pattern: idPrefix + "{id}/{rest...}", Handler: id})
}

func (c configAPI) serve(w http.ResponseWriter, r *http.Request) error {
	shown := c.shown()
	if shown == nil {
		return elsewhere(w, r)
	}
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		text, etag, err := shown.Get(r.URL.Path)
		if err != nil {
			return apiErrorOf(w, err)
		}
		w.Header().Set("Etag", etag)
		_, err = w.Write(text) //nolint:gosec // it is JSON, and says so
		return err
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		body, err := changeBody(w, r)
		if err != nil {
			return err
		}
		change := &document.Change{Method: r.Method, Path: r.URL.Path, Body: body, IfMatch: r.Header.Get("If-Match")}
		if err := c.change(r.Context(), document.Request{Change: change, Force: forced(r), By: senderOf(r)}); err != nil {
			return apiErrorOf(w, err)
		}
		forgetFile(r)
		return nil
	}
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method %s not allowed", r.Method)}
}

// changeBody reads the body of a change; that of a deletion does not count.
func changeBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method == http.MethodDelete {
		return nil, nil
	}
	if kind := r.Header.Get("Content-Type"); !strings.Contains(kind, "/json") {
		return nil, caddy.APIError{
			HTTPStatus: http.StatusBadRequest,
			Err:        fmt.Errorf("unacceptable content-type: %v; 'application/json' required", kind),
		}
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("reading request body: %w", err)}
	}
	return body.Bytes(), nil
}

// serveID serves the request again, for the path of the object: so the rules for that
// path are applied to it.
func (c configAPI) serveID(w http.ResponseWriter, r *http.Request) error {
	shown := c.shown()
	if shown == nil {
		var err error
		if shown, err = plainDocument(w, r); shown == nil {
			return err
		}
	}
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, idPrefix), "/")
	to, ok := shown.Path(id)
	if !ok {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("unknown object ID '%s'", id)}
	}
	return again(w, r, path.Join(to, rest), "")
}

// apiErrorOf gives an error the status that Caddy's endpoint gives it. One that Caddy does
// not know, that too much waits already, says when to come again: what waits is loaded
// together.
func apiErrorOf(w http.ResponseWriter, err error) error {
	if errors.Is(err, document.ErrFull) {
		w.Header().Set("Retry-After", "1")
	}
	if e, ok := errors.AsType[*document.Error](err); ok {
		return caddy.APIError{HTTPStatus: e.Status, Err: e.Err}
	}
	return err
}

// forced reports whether what serves already is to be loaded once more.
func forced(r *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(r.Header["Cache-Control"], "must-revalidate")
}
