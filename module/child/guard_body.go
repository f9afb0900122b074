// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// guardBody notices whether the body of an HTTP/1 request is read to its end. What is
// left of one that is not would be read as the next request on its connection:
// net/http looks for that by the type of the body, which Caddy's own wrapper hides.
type guardBody struct {
	io.ReadCloser
	ended atomic.Bool
}

// guardBodyVar is the variable of a request that has its guardBody: error routes meet
// the same body again.
const guardBodyVar = "caddy_broker.guard_body"

// watchBody puts itself around the body of a request; nil where none is on a
// connection that might carry another request after it.
func watchBody(r *http.Request) *guardBody {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b, ok := caddyhttp.GetVar(r.Context(), guardBodyVar).(*guardBody)
	if !ok {
		b = &guardBody{ReadCloser: r.Body}
		caddyhttp.SetVar(r.Context(), guardBodyVar, b)
		r.Body = b
	}
	return b
}

// Read reads, and notes the end.
func (b *guardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { //nolint:errorlint // readers return it itself
		b.ended.Store(true)
	}
	return n, err
}

// settle closes the connection after the response if the body has not been read
// to its end by now.
func (b *guardBody) settle(w http.ResponseWriter) {
	if b != nil && !b.ended.Load() {
		assumed.CloseAfterReply(w)
	}
}
