// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
)

// forgetDynamic is how long an address that no list names any more is kept.
const forgetDynamic = 10 * time.Minute

// dynamicList is what the handler's dynamic source returned for one attempt: new
// upstreams each time, perhaps others for another request. Members that are not
// in it are out of reach for the request.
type dynamicList struct {
	scheme string
	pool   reverseproxy.UpstreamPool
}

// find is the upstream of a member, or nil.
func (l *dynamicList) find(m *failover.Member) *reverseproxy.Upstream {
	for _, up := range l.pool {
		if u, err := upstreamURI(up, l.scheme); err == nil && u.Key() == m.URI.Key() {
			return up
		}
	}
	return nil
}

// Check says what Caddy's own checks think of the member's upstream in the list.
func (l *dynamicList) Check(m *failover.Member) failover.Availability {
	up := l.find(m)
	if up == nil {
		return failover.Foreign
	}
	return availability(up)
}

// list makes the addresses of the list members of the pool. Those that no list
// named for a while are forgotten.
func (t *backendTable) list(l *dynamicList) {
	now := time.Now()
	var added, gone []failover.URI
	t.mu.Lock()
	if t.seen == nil {
		t.seen = make(map[string]time.Time)
	}
	for _, up := range l.pool {
		u, err := upstreamURI(up, l.scheme)
		if err != nil {
			continue
		}
		if _, ok := t.seen[u.Key()]; !ok {
			added = append(added, u)
		}
		t.seen[u.Key()] = now
	}
	if len(added) > 0 {
		for key, last := range t.seen {
			if now.Sub(last) < forgetDynamic {
				continue
			}
			delete(t.seen, key)
			if u, err := failover.ParseURI(key); err == nil {
				gone = append(gone, u)
			}
		}
	}
	t.mu.Unlock()
	pool := t.policy.claim.entry.pool
	if len(added) > 0 {
		if _, err := pool.AddURIs(added, false); err != nil {
			t.policy.logger.Warn("adding addresses of the dynamic source", zap.Error(err))
		}
	}
	if len(gone) > 0 {
		if _, err := pool.RemoveURIs(gone); err != nil {
			t.policy.logger.Debug("removing addresses that the dynamic source names no more", zap.Error(err))
		}
	}
}

// Interface guard
var _ failover.Checker = (*dynamicList)(nil)
