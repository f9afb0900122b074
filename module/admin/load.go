// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/document"
)

// The headers by which `caddy reload` says what it has read.
const (
	fileHeader    = "Caddy-Config-Source-File"
	adapterHeader = "Caddy-Config-Source-Adapter"
)

// serveLoad is POST /load. In a process that supervises, every configuration is the
// user's; in another one Caddy loads it, unless it asks for supervision.
func serveLoad(w http.ResponseWriter, r *http.Request) error {
	var body bytes.Buffer
	if _, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return badRequest(fmt.Errorf("reading request body: %w", err), nil)
	}
	text, warnings, err := adapted(r, body.Bytes())
	if err != nil {
		return err
	}
	entering := broker.Settled(r.Context()) == nil
	if entering && !broker.Asks(text) {
		handler, err := stockHandler("/load")
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(&body)
		return handler.ServeHTTP(w, r)
	}
	d, err := broker.Unwrap(text)
	if err != nil {
		return badRequest(fmt.Errorf("loading config: %w", err), warnings)
	}
	if d.Source == nil {
		d = d.From(sourceOf(r))
	}
	if back := broker.RolledBack(); back != "" {
		warnings = append(warnings, caddyconfig.Warning{Message: "what was loaded last is not what runs: " + back})
	}
	if err := broker.Change(r.Context(), document.Request{Whole: d, Force: forced(r), By: senderOf(r)}); err != nil {
		if errors.Is(err, document.ErrFull) {
			return apiErrorOf(w, err)
		}
		return badRequest(fmt.Errorf("loading config: %w", err), warnings)
	}
	if entering {
		caddy.SetLastConfig("", "", nil) // what it was started with would end the supervision
	}
	forgetFile(r)
	caddy.Log().Named("admin.api").Info("load complete")
	if len(warnings) == 0 {
		return nil
	}
	return json.NewEncoder(w).Encode(map[string]any{"warnings": warnings})
}

func badRequest(err error, warnings []caddyconfig.Warning) error {
	// Not as a value of an interface that is nil inside: Caddy would show that.
	e := caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	if len(warnings) > 0 {
		e.Warnings = warnings
	}
	return e
}

// adapted is a configuration as JSON, whatever the request says that it is, by Caddy's
// own /adapt.
func adapted(r *http.Request, body []byte) ([]byte, []caddyconfig.Warning, error) {
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		return body, nil, nil
	}
	if media, _, err := mime.ParseMediaType(kind); err == nil && strings.HasSuffix(media, "/json") {
		return body, nil, nil
	}
	handler, err := stockHandler("/adapt")
	if err != nil {
		return nil, nil, err
	}
	ask := r.Clone(r.Context())
	ask.Body = io.NopCloser(bytes.NewReader(body))
	answer := newCapture()
	if err := handler.ServeHTTP(answer, ask); err != nil {
		return nil, nil, err
	}
	var out struct {
		Warnings []caddyconfig.Warning `json:"warnings"`
		Result   json.RawMessage       `json:"result"`
	}
	if err := json.Unmarshal(answer.body.Bytes(), &out); err != nil {
		return nil, nil, fmt.Errorf("reading adapted config: %w", err)
	}
	return out.Result, out.Warnings, nil
}

// stockHandler is what Caddy itself serves /load or /adapt with.
func stockHandler(pattern string) (caddy.AdminHandler, error) {
	m, err := caddy.GetModule("admin.api.load")
	if err != nil {
		return nil, err
	}
	return ownHandler(m, pattern)
}

// senderOf says by which request a configuration comes, and from where.
func senderOf(r *http.Request) string {
	what := r.Method + " " + r.URL.Path
	if r.Header.Get(fileHeader) != "" {
		what = "caddy reload"
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		what += " from " + host
	}
	return plain.Line(what, maxOperator)
}

// sourceOf is the file that the sender of a configuration has read. A path is of use here
// only if it is absolute; one that is not means the file that is known already, if that
// has the same name.
func sourceOf(r *http.Request) *document.Source {
	file := r.Header.Get(fileHeader)
	if file == "" || file == "-" {
		return nil
	}
	if shown := broker.Shown(); shown != nil && shown.Source != nil {
		known := shown.Source.File
		if file == known || !filepath.IsAbs(file) && filepath.Base(file) == filepath.Base(known) {
			return shown.Source
		}
	}
	if !filepath.IsAbs(file) {
		return nil
	}
	return &document.Source{File: file, Adapter: r.Header.Get(adapterHeader)}
}

// forgetFile makes Caddy forget the file that it was started with, which SIGUSR1 would
// load again, unless what was loaded came from that file. This process has read it with
// another adapter than the sender.
func forgetFile(r *http.Request) {
	adapter := r.Header.Get(adapterHeader)
	if adapter == "caddyfile" {
		adapter = broker.AdapterName
	}
	caddy.ClearLastConfigIfDifferent(r.Header.Get(fileHeader), adapter)
}
