// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// cdnLoop is the header of RFC 8586: whoever forwards a request adds his name.
const cdnLoop = "Cdn-Loop"

// faultLoop is that a request came back to the balancer that had forwarded it.
var faultLoop = proxystatus.Fault{Error: "proxy_loop_detected", Status: http.StatusLoopDetected}

var errLoop = errors.New("this request has been through this balancer before: a backend sends requests back, or names a balancer as its peer")

// loopMark is this pool's mark in CDN-Loop, and the name of this broker. Without
// a network there is none. The pool is part of the mark because a request may
// well go through two pools of one balancer.
func (f *Failover) loopMark() (name, mark string) {
	state, _ := cluster.State()
	if state == nil {
		return "", ""
	}
	return state.Name, fmt.Sprintf("%s;pool=%q", state.Name, f.claim.entry.name)
}

// looped reports whether the request has been through this pool before.
func (f *Failover) looped(r *http.Request) bool {
	values := r.Header[cdnLoop]
	if len(values) == 0 {
		return false
	}
	name, mark := f.loopMark()
	if name == "" {
		return false
	}
	for _, value := range values {
		for entry := range strings.SplitSeq(value, ",") {
			entry = strings.TrimSpace(entry)
			if id, params, _ := strings.Cut(entry, ";"); entry == mark || id == name && !strings.Contains(params, "pool=") {
				return true
			}
		}
	}
	return false
}

// markLoop adds this pool to what the backend gets.
func (f *Failover) markLoop(ex *exchange, req *http.Request) {
	if _, mark := f.loopMark(); mark != "" {
		req.Header[cdnLoop] = append(slices.Clone(ex.run.Header[cdnLoop]), mark)
	}
}

// refuseLoop answers a request that came back.
func (ex *exchange) refuseLoop() {
	ex.announce(faultLoop, "", "")
	ex.conclusion(caddyhttp.Error(faultLoop.Status, errLoop))
}
