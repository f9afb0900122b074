// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// panicEvery is how often a carrier that panics is told of.
const panicEvery = 10 * time.Second

// guarded asks a carrier in the pool's own goroutine, which a panic must not end: it
// would end the process. In that of a request, it ends the request.
type guarded struct {
	Checker
	logger *slog.Logger
	told   *time.Time // when it was told of; of the goroutine
}

// Check says that a member is unhealthy where the carrier cannot say what it is.
func (g guarded) Check(m *Member) (a report.Availability) {
	defer func() {
		if v := recover(); v != nil {
			a = report.Unhealthy
			if time.Since(*g.told) < panicEvery {
				return
			}
			*g.told = time.Now()
			g.logger.Error("asking whether upstream is available panicked", "upstream", m.Name, "panic", v)
		}
	}()
	return g.Checker.Check(m)
}

// guardedPing pings a member: what panics meanwhile says nothing about it.
func guardedPing(ctx context.Context, c Carrier, m *Member) (r report.PingResult) {
	defer func() {
		if v := recover(); v != nil {
			r = report.PingResult{Err: fmt.Errorf("pinging panicked: %v", v), Neutral: true}
		}
	}()
	return c.Ping(ctx, m)
}
