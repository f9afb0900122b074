// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"maps"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
)

// tellDynamic is how often the pool hears of an address that is still listed.
const tellDynamic = time.Minute

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

// list makes the addresses of the list members of the pool, which forgets those
// that no list named for a while.
func (t *backendTable) list(l *dynamicList) {
	now, news := time.Now(), false
	uris := make([]failover.URI, 0, len(l.pool))
	t.mu.Lock()
	for _, up := range l.pool {
		if u, err := upstreamURI(up, l.scheme); err == nil {
			uris = append(uris, u)
			news = news || now.Sub(t.told[u.Key()]) >= tellDynamic
		}
	}
	if news {
		maps.DeleteFunc(t.told, func(_ string, last time.Time) bool { return now.Sub(last) >= tellDynamic })
		for _, u := range uris {
			t.told[u.Key()] = now
		}
	}
	t.mu.Unlock()
	if !news {
		return
	}
	pool := t.policy.claim.entry.pool
	_, removed, err := pool.Discover(uris)
	if err != nil {
		t.policy.logger.Warn("adding addresses of the dynamic source", zap.Error(err))
	}
	if removed > 0 {
		t.prune(pool)
	}
}

// tellAnew makes the pool hear of every address again, which it may have forgotten.
func (t *backendTable) tellAnew() {
	t.mu.Lock()
	clear(t.told)
	t.mu.Unlock()
}

// Interface guard
var _ failover.Checker = (*dynamicList)(nil)
