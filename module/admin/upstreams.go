// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// upstreamsPath is where Caddy lists the upstreams of all sites.
const upstreamsPath = "/reverse_proxy/upstreams"

// upstream is one of them, as Caddy has it.
type upstream struct {
	Address     string `json:"address"`
	NumRequests int    `json:"num_requests"`
	Fails       int    `json:"fails"`
}

// upstreams is the route for that list in the process that serves.
func upstreams() caddy.AdminRoute {
	return caddy.AdminRoute{Pattern: http.MethodGet + " " + upstreamsPath, Handler: caddy.AdminHandlerFunc(serveUpstreams)}
}

// serveUpstreams answers with Caddy's list, in which an upstream has failed at least once
// if its pool gives it no requests: Caddy itself counts only what its own health checks
// have seen.
func serveUpstreams(w http.ResponseWriter, r *http.Request) error {
	module, err := caddy.GetModule("admin.api.reverse_proxy")
	if err != nil {
		return err
	}
	own, err := ownHandler(module, upstreamsPath)
	if err != nil {
		return err
	}
	answer := held{ResponseWriter: w}
	if err := own.ServeHTTP(&answer, r); err != nil {
		return err
	}
	_, err = w.Write(agreeOnFails(answer.body.Bytes()))
	return err
}

// held keeps the body of an answer back.
type held struct {
	http.ResponseWriter
	body bytes.Buffer
}

// Write keeps it.
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

// agreeOnFails is the list with what the pools know, or body if they know nothing else.
func agreeOnFails(body []byte) []byte {
	var list []upstream
	if json.Unmarshal(body, &list) != nil {
		return body
	}
	changed, resting := false, proxy.Resting()
	for i, u := range list {
		if u.Fails == 0 && resting(u.Address) {
			list[i].Fails, changed = 1, true
		}
	}
	if !changed {
		return body
	}
	text, err := json.Marshal(list)
	if err != nil {
		return body
	}
	return append(text, '\n')
}
