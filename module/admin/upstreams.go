// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"net/http"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// upstreamsPath is where Caddy lists the upstreams of all sites.
const upstreamsPath = "/reverse_proxy/upstreams"

// upstream is one of them, as Caddy has it.
type upstream struct {
	Address     string `json:"address"`
	NumRequests int    `json:"num_requests"`
	Fails       int    `json:"fails"`
}

// forwardUpstreams answers with the child's list, in which an upstream has failed at
// least once if its pool gives it no requests: Caddy itself counts only what its own
// health checks have seen.
func forwardUpstreams(c *broker.Hosted, w http.ResponseWriter, r *http.Request) error {
	var list []upstream
	body, err := c.Ask(r.Context(), upstreamsPath)
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil || r.Method != http.MethodGet {
		return forward(c, w, r, r.URL.Path) // Caddy says what it makes of that
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(agreeOnFails(r, c, list, body))
	return err
}

// agreeOnFails is the list with what the pools know, or body if they know nothing else.
func agreeOnFails(r *http.Request, c *broker.Hosted, list []upstream, body []byte) []byte {
	down, err := c.Down(r.Context())
	if err != nil {
		return body // it does not answer any more
	}
	changed := false
	for i, u := range list {
		if down[u.Address] && u.Fails == 0 {
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
