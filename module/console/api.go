// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
)

// api is the admin API of this process; nil until Register is called.
var api atomic.Pointer[http.Handler]

// Register makes the console work by way of an admin API. Its paths begin with /broker/.
func Register(h http.Handler) { api.Store(&h) }

// maxAnswer bounds an answer of the API, in bytes.
const maxAnswer = 32 << 20

// call asks the admin API, and puts the answer into v unless that is nil. What it began
// goes on when ctx ends: no operation depends on the one who asked for it.
func call(ctx context.Context, method, path string, query url.Values, v any) error {
	h := api.Load()
	if h == nil {
		return fmt.Errorf("%s %s: this process has no admin API", method, path)
	}
	to := &url.URL{Scheme: "http", Host: "broker", RawQuery: query.Encode()}
	var err error
	if to.Path, err = url.PathUnescape(path); err != nil {
		return err
	}
	to.RawPath = path
	req, err := http.NewRequestWithContext(ctx, method, to.String(), http.NoBody)
	if err != nil {
		return err
	}
	req.RequestURI, req.RemoteAddr = to.RequestURI(), "console"
	var answer recorder
	(*h).ServeHTTP(&answer, req)
	if answer.status >= http.StatusBadRequest {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(answer.body.Bytes(), &said) == nil && said.Error != "" {
			return &refusal{answer.status, said.Error}
		}
		return &refusal{answer.status, http.StatusText(answer.status)}
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(answer.body.Bytes(), v); err != nil {
		return fmt.Errorf("reading answer of %s: %w", path, err)
	}
	return nil
}

// refusal is what the API answered instead of doing something.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(p) > maxAnswer {
		return 0, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	return r.body.Write(p)
}

// Flush does nothing: the answer is read when it is complete.
func (r *recorder) Flush() {}
