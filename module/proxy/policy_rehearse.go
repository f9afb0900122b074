// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errRehearsed makes Caddy ask for a backend after a choice that was none.
var errRehearsed = errors.New("no backend was chosen yet")

// rehearsal is how far the choice that is none has come.
type rehearsal uint8

const (
	rehearsalOpen rehearsal = iota // it was not needed yet
	rehearsalOn                    // Caddy has its chance to refuse the request
	rehearsalOver                  // and has had it
)

// rehearse reports whether Caddy may answer the request itself once it has a
// backend. It does so for a request that header_up makes incremental, where the
// proxy buffers requests, and the transport hears nothing of it: a member chosen
// for the request would keep it for ever. So the first choice for such a request
// is none, and where Caddy does not refuse, the transport makes it ask again.
func (ex *exchange) rehearse(r *http.Request) bool {
	h := ex.policy.handler
	if h.Headers == nil || h.Headers.Request == nil || h.RequestBuffers == 0 && !ex.policy.transport.RequiresContentLength() {
		return false
	}
	if ex.rehearsal != rehearsalOpen {
		return false
	}
	trial := r.WithContext(r.Context())
	trial.Header = r.Header.Clone()
	h.Headers.Request.ApplyToRequest(trial)
	if !caddyhttp.IsIncremental(trial.Header) {
		return false
	}
	ex.rehearsal = rehearsalOn
	return true
}
