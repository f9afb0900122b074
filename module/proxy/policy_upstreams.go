// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// listed are the upstreams that the handler lists.
type listed struct{ way *reach.Way }

// Check says what Caddy's own checks think of a member's upstream. They know only
// those that the handler lists, and those that got one of their own. It takes no
// lock, and makes nothing for a member that is only looked at.
func (c listed) Check(m *failover.Member) report.Availability {
	if up := c.way.Upstream(m); up != nil {
		return availability(up)
	}
	return report.Available
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
var _ failover.Checker = listed{}
