// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
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
		note(overview.Served, "")
	} else {
		note(overview.Failed, plain.Line(err.Error(), maxReload))
	}
	tellReload(err)
	if a := host.deciding(); a != nil {
		assumed.Loaded(a.ctx.GetMetricsRegistry(), err == nil)
	}
}

// Unreadable notes that a configuration was to be loaded, and could not even be read.
func Unreadable(err error) { loaded(err) }

// note remembers how an attempt ended. Loads come one after the other.
func note(result, why string) {
	now := time.Now()
	r := &overview.Reload{At: now, Result: result, Error: why}
	if result == overview.Served {
		r.Serving = &now
	} else if last := lastLoad.Load(); last != nil {
		r.Serving = last.Serving
	}
	lastLoad.Store(r)
}
