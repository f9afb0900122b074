// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// tellDynamic is how often the pool hears of an address that is still listed.
const tellDynamic = time.Minute

// dynamicList is what the handler's dynamic source returned for one attempt: new
// upstreams each time, perhaps others for another request. Members that are not
// in it are out of reach for the request, as long as the configuration in effect
// has such a source. A request of an earlier one, whose addresses are no members
// any more, takes what there is. It does not change once it is made: the pool may
// still read it when the next one is there.
type dynamicList struct {
	table *dynamicTable
	byKey map[string]*reverseproxy.Upstream
}

// find is the upstream of a member, or nil.
func (l *dynamicList) find(m *failover.Member) *reverseproxy.Upstream { return l.byKey[m.Name] }

// Check says what Caddy's own checks think of the member's upstream in the list.
func (l *dynamicList) Check(m *failover.Member) report.Availability {
	switch up := l.find(m); {
	case up != nil:
		return availability(up)
	case l.table.policy.claim.entry.dynamic.Load():
		return report.Foreign
	default:
		return l.table.policy.listed.Check(m)
	}
}

// dynamicTable is what the pool was told of the handler's dynamic source.
type dynamicTable struct {
	policy *Failover

	mu   lockorder.Mutex[dynamicTable] // the pool is never called under it
	told map[string]time.Time          // addresses, and when the pool last heard of them
}

// list reads what the source returned, and makes it members of the pool.
func (t *dynamicTable) list(pool reverseproxy.UpstreamPool) *dynamicList {
	l := &dynamicList{table: t, byKey: make(map[string]*reverseproxy.Upstream, len(pool))}
	uris := make([]address.URI, 0, len(pool))
	for _, up := range pool {
		u, err := policyconfig.UpstreamURI(up, t.policy.way.Scheme())
		if err != nil || l.byKey[u.Key()] != nil {
			continue
		}
		l.byKey[u.Key()] = up
		uris = append(uris, u)
	}
	if t.policy.claim.entry.dynamic.Load() && t.news(uris) {
		t.discover(uris)
	}
	return l
}

// news reports whether the pool has not heard of one of these addresses lately. It
// counts as told of all of them then.
func (t *dynamicTable) news(uris []address.URI) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(uris, func(u address.URI) bool { return now.Sub(t.told[u.Key()]) >= tellDynamic }) {
		return false
	}
	maps.DeleteFunc(t.told, func(_ string, last time.Time) bool { return now.Sub(last) >= tellDynamic })
	if t.told == nil {
		t.told = make(map[string]time.Time)
	}
	for _, u := range uris {
		t.told[u.Key()] = now
	}
	return true
}

// discover makes the addresses of a list members of the pool, which forgets those
// that no list named for a while.
func (t *dynamicTable) discover(uris []address.URI) {
	pool := t.policy.claim.entry.pool
	_, removed, err := pool.Discover(uris)
	if err != nil {
		t.policy.logger.Warn("adding addresses of the dynamic source", zap.Error(err))
	}
	if removed > 0 {
		t.policy.way.Prune(pool)
	}
}

// tellAnew makes the pool hear of every address again, which it may have forgotten.
func (t *dynamicTable) tellAnew() {
	t.mu.Lock()
	clear(t.told)
	t.mu.Unlock()
}

// Interface guard
var _ failover.Checker = (*dynamicList)(nil)
