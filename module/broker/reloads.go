// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// lastLoad is how the last attempt ended to make a configuration serve, by whatever way.
var lastLoad struct {
	failed  atomic.Bool
	success atomic.Pointer[time.Time] // of the last one that serves; nil before it
}

// loaded notes how a load ended, also for Caddy's own metrics: Caddy does not know of
// loads that concern the child alone.
func loaded(err error) {
	lastLoad.failed.Store(err != nil)
	if err == nil {
		now := time.Now()
		lastLoad.success.Store(&now)
	}
	tellReload(err)
	if a := host.deciding(); a != nil {
		assumed.Loaded(a.ctx.GetMetricsRegistry(), err == nil)
	}
}
