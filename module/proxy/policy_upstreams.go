// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// listed are the upstreams that the handler lists.
type listed struct {
	way    *reach.Way
	health health
}

// health is which members Caddy's own checks call unhealthy, to tell when that changes.
type health struct {
	tell func(m *failover.Member, sick bool)
	sick atomic.Int32 // how many they are
	all  sync.Map     // by member
}

// note takes what the checks say of a member.
func (h *health) note(m *failover.Member, sick bool) {
	if sick {
		if _, known := h.all.LoadOrStore(m, struct{}{}); known {
			return
		}
		h.sick.Add(1)
	} else if _, known := h.all.LoadAndDelete(m); known {
		h.sick.Add(-1)
	} else {
		return
	}
	h.tell(m, sick)
}

// Check says what Caddy's own checks think of a member's upstream. They know only
// those that the handler lists, and those that got one of their own. It takes no
// lock, and makes nothing for a member that is only looked at.
func (c *listed) Check(m *failover.Member) report.Availability {
	if up := c.way.Upstream(m); up != nil {
		says := availability(up)
		if sick := says == report.Unhealthy; sick || c.health.sick.Load() > 0 {
			c.health.note(m, sick)
		}
		return says
	}
	return report.Available
}

// tellHealth says that Caddy's own checks have come to another opinion of a member.
func (f *Failover) tellHealth(m *failover.Member, sick bool) {
	data := map[string]any{"pool": f.claim.entry.name, "upstream": m.Name}
	e := report.Tell("failover_healthy", data)
	if sick {
		e = report.Tell("failover_unhealthy", data)
	}
	f.say(e)
	pools.events.put(queued{f, e})
}

// hopeless reports whether no backend of the pool will be reached by waiting.
func (f *Failover) hopeless() bool { return f.way.Hopeless(f.claim.entry.pool) }

func availability(up *reverseproxy.Upstream) report.Availability {
	switch {
	case up.Host == nil:
		return report.Available // the handler is not provisioned completely yet
	case !up.Healthy():
		return report.Unhealthy
	case up.Full():
		return report.Full
	}
	return report.Available
}

// Interface guard
var _ failover.Checker = (*listed)(nil)
