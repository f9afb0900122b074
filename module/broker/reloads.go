// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// lastLoad is how the last attempt ended to make a configuration serve, by whatever way;
// nil before the first.
var lastLoad atomic.Pointer[overview.Reload]

// maxReload bounds what is kept of why a reload failed, in bytes.
const maxReload = 2 << 10

// LastReload is how the last attempt ended to make a configuration serve; nil before
// the first.
func LastReload() *overview.Reload { return lastLoad.Load() }

// loaded notes such an attempt, for Caddy's own metrics, too.
func loaded(err error) {
	if err == nil {
		noteReload(overview.Served, "")
	} else {
		noteReload(overview.Failed, err.Error())
	}
	tellReload(err)
}

// noteReload notes how an attempt ended, for Caddy's own metrics, too.
func noteReload(result, why string) {
	note(result, plain.Line(why, maxReload))
	if a := host.deciding(); a != nil {
		assumed.Loaded(a.ctx.GetMetricsRegistry(), result == overview.Served || result == overview.Unchanged)
	}
}

// unchanged notes that what was loaded serves already. Caddy leaves its metrics alone then:
// after a roll-back they say that something else serves, which is over.
func unchanged() {
	if RolledBack() == "" {
		note(overview.Unchanged, "")
	} else {
		noteReload(overview.Unchanged, "")
	}
}

// Unreadable notes that a configuration was to be loaded, and could not even be read.
func Unreadable(err error) { loaded(err) }

// note remembers how an attempt ended. Loads come one after the other.
func note(result, why string) {
	now := time.Now()
	r := &overview.Reload{At: now, Result: result, Error: why}
	last := lastLoad.Load()
	switch {
	case result == overview.Served:
		r.Serving = &now
	case last != nil:
		r.Serving = last.Serving
	}
	switch {
	case result == overview.RolledBack:
		r.RolledBack = why
	case result == overview.Failed && last != nil:
		r.RolledBack = last.RolledBack
	}
	lastLoad.Store(r)
}

// tellReload says that a configuration could not be made to serve; err is nil if it serves.
// A process that serves nothing yet ends with that error.
func tellReload(err error) {
	if err != nil && host.deciding() != nil {
		host.events.put(supervisor.Event{Name: "broker_reload_failed", Data: map[string]any{"error": plain.Line(err.Error(), maxEventText)}})
	}
}
