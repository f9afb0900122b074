// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// strike is a time in which the process that serves was killed or stopped. What
// was in progress then may be lost.
type strike struct{ begin, end time.Time }

func (s strike) hit(r *harness.Result) bool {
	return !r.Dialed.IsZero() && r.Dialed.Before(s.end) && r.End.After(s.begin)
}

// evidence is what is known after the load has ended.
type evidence struct {
	results harness.Results
	strikes []strike
	// executions counts, by request and backend, what backends began to execute.
	executions map[string]map[string]int
	// reported are the requests that the broker listed as in doubt.
	reported map[string]bool
}

// Limits of design: a request is written to at most three backends, and once
// more to one of them if a kept connection ended without an answer.
const (
	maxBackends   = 3
	maxExecutions = maxBackends + 1
)

// judge returns what must not have happened, a line for each request.
func (e *evidence) judge() []string {
	var bad []string
	for _, r := range e.results {
		if wrong := e.wrong(r); wrong != "" {
			bad = append(bad, fmt.Sprintf("%s %s: %s (%s %d after %s, %s, executed %v, %v)",
				r.Method, r.ID, wrong, r.Fate, r.Status, r.Latency().Round(time.Millisecond),
				r.Header.Get("Proxy-Status"), e.executions[r.ID], r.Err))
		}
	}
	return bad
}

// wrong says what is wrong with one request; empty when nothing is.
func (e *evidence) wrong(r *harness.Result) string {
	executed := 0
	for _, n := range e.executions[r.ID] {
		executed += n
	}
	struck := slices.ContainsFunc(e.strikes, func(s strike) bool { return s.hit(r) })
	switch {
	case r.Fate == harness.Refused:
		return "refused"
	case len(e.executions[r.ID]) > maxBackends, executed > maxExecutions:
		return "written too often"
	case executed > 1 && !repeatable(r):
		return "unsafe and executed twice"
	case r.Fate == harness.OK && executed == 0:
		return "answered and never executed"
	case r.Fate == harness.OK:
		return ""
	case r.Fate != harness.Status && struck:
		return "" // its process was killed
	case r.Fate != harness.Status:
		return "lost without an answer"
	case r.Status < 500:
		return "an answer that no backend gives"
	case safe(r):
		return "safe and lost"
	case !harness.InDoubt(r) && executed > 0:
		return "executed, and the error does not say in doubt"
	case !harness.InDoubt(r):
		return "never written, and lost"
	case !e.reported[r.ID]:
		return "in doubt, and not listed"
	case r.Header.Get("Retry-After") != "":
		return "in doubt, and invites to retry"
	}
	return ""
}

func safe(r *harness.Result) bool { return r.Method == http.MethodGet }

// repeatable is what may be sent again by its method, or by its key on the site
// that tracks messages. The client names its requests accordingly.
func repeatable(r *harness.Result) bool {
	switch r.Method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
		return true
	}
	return strings.HasPrefix(r.ID, trackedPrefix) && keyed(r.ID)
}
