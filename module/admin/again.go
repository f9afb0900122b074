// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/document"
)

// Caddy may serve requests with routes that were made for a process that supervises
// though this one does not: those of a load that failed stay, and when the supervision
// ends the routes of before are those of the load that has ended it. So each request
// looks what is the case, and one that is not ours goes where it would go without us.

// servedAgain marks a request that was sent to the endpoint again; its value is how often.
type servedAgain struct{}

// mostAgain is how often one request is: from an id to a path, and from there to Caddy.
const mostAgain = 2

// again serves a request for another path, as one that has come for that. encoded is how
// the path is written, if not in the usual way.
func again(w http.ResponseWriter, r *http.Request, to, encoded string) error {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	times, _ := r.Context().Value(servedAgain{}).(int)
	if !ok || times >= mostAgain {
		return caddy.APIError{HTTPStatus: http.StatusLoopDetected, Err: fmt.Errorf("nothing serves %s", r.URL.Path)}
	}
	r = r.WithContext(context.WithValue(r.Context(), servedAgain{}, times+1))
	u := *r.URL
	u.Path, u.RawPath = to, encoded
	r.URL = &u
	server.Handler.ServeHTTP(w, r)
	return nil
}

// elsewhere serves a request for /config/ by Caddy's own handler. Two segments, the
// first of which has a slash that is encoded, match no pattern but that handler's, and
// mean the same to it.
func elsewhere(w http.ResponseWriter, r *http.Request) error {
	rest := strings.TrimPrefix(r.URL.Path, configPrefix)
	if rest == "" {
		return again(w, r, configPrefix+".../", "") // another spelling of the whole
	}
	for strings.Count(rest, "/") < 2 {
		rest += "/"
	}
	second := strings.Index(rest, "/") + 1
	second += strings.Index(rest[second:], "/")
	encoded := url.PathEscape(rest[:second]) + "/" + url.PathEscape(rest[second+1:])
	return again(w, r, configPrefix+rest, configPrefix+encoded)
}

// plainDocument is the configuration that Caddy itself runs. If it cannot be had, w has
// been told why, or the error says it.
func plainDocument(w http.ResponseWriter, r *http.Request) (*document.Document, error) {
	ask := r.Clone(r.Context())
	ask.Method, ask.Body = http.MethodGet, http.NoBody
	ask.URL.Path = configPrefix
	answer := newCapture()
	if err := elsewhere(answer, ask); err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		answer.copyTo(w)
		return nil, nil
	}
	d, err := document.Parse(answer.body.Bytes())
	if err != nil {
		return nil, err
	}
	return d, nil
}

// capture is an answer that goes nowhere yet.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newCapture() *capture { return &capture{header: make(http.Header), status: http.StatusOK} }

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(status int)      { c.status = status }
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }

// copyTo answers with what was captured.
func (c *capture) copyTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), c.header)
	w.WriteHeader(c.status)
	_, _ = w.Write(c.body.Bytes())
}

// ownHandler is what serves a pattern in this very process: that of the module which has
// it, as provisioned with the configuration in effect.
func ownHandler(m caddy.ModuleInfo, pattern string) (caddy.AdminHandler, error) {
	router, ok := m.New().(caddy.AdminRouter)
	if !ok {
		return nil, errors.New("the module has no routes")
	}
	if p, ok := router.(caddy.Provisioner); ok {
		if err := p.Provision(caddy.ActiveContext()); err != nil {
			return nil, fmt.Errorf("provisioning admin router module %s: %w", m.ID, err)
		}
	}
	for _, route := range router.Routes() {
		if route.Pattern == pattern {
			return route.Handler, nil
		}
	}
	return nil, fmt.Errorf("admin router module %s has no route %s", m.ID, pattern)
}
