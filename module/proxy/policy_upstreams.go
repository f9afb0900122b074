// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// backendTable maps the members of a pool to the upstreams of one handler. With
// static upstreams it is looked up without a lock and never scanned.
type backendTable struct {
	policy *Failover
	static map[string]*reverseproxy.Upstream // by URI key; immutable

	hopeless atomic.Int64 // how many backends are

	mu   sync.Mutex // guards writing to all; the pool is never called under it
	all  atomic.Pointer[map[*failover.Member]*backend]
	told map[string]time.Time // dynamic addresses, and when the pool last heard of them
}

func (t *backendTable) init(f *Failover) {
	t.policy = f
	t.told = make(map[string]time.Time)
	t.static = make(map[string]*reverseproxy.Upstream, len(f.handler.Upstreams))
	for _, up := range f.handler.Upstreams {
		u, err := policyconfig.UpstreamURI(up, f.transport.scheme())
		if err == nil && t.static[u.Key()] == nil {
			t.static[u.Key()] = up
		}
	}
	t.all.Store(&map[*failover.Member]*backend{})
}

// of is the backend for a member. One that the handler does not list, because it
// was added at run time, gets an upstream of its own.
func (t *backendTable) of(m *failover.Member) *backend {
	if b := (*t.all.Load())[m]; b != nil {
		return b
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := (*t.all.Load())[m]; b != nil {
		return b
	}
	up := t.static[m.URI.Key()]
	if up == nil {
		up = &reverseproxy.Upstream{Dial: m.URI.Dial(), Host: new(reverseproxy.Host)}
	}
	all := maps.Clone(*t.all.Load())
	b := newBackend(m, up)
	all[m] = b
	t.all.Store(&all)
	return b
}

// known is the backend for a member if there is one already.
func (t *backendTable) known(m *failover.Member) *backend {
	if all := t.all.Load(); all != nil {
		return (*all)[m]
	}
	return nil
}

// note remembers whether reaching a backend failed in a way that stays.
func (t *backendTable) note(b *backend, hopeless bool) {
	if b.hopeless.Load() == hopeless || !b.hopeless.CompareAndSwap(!hopeless, hopeless) {
		return
	}
	if hopeless {
		t.hopeless.Add(1)
	} else {
		t.hopeless.Add(-1)
	}
}

// allHopeless reports whether no backend will be reached by waiting.
func (t *backendTable) allHopeless() bool {
	if t.hopeless.Load() == 0 {
		return false
	}
	for _, m := range t.policy.claim.entry.pool.Members() {
		if b := t.known(m); b == nil || !b.hopeless.Load() {
			return false
		}
	}
	return true
}

// Check says what Caddy's own checks think of a member's upstream. They know only
// those that the handler lists, and those that got one of their own. It takes no
// lock, and makes nothing for a member that is only looked at.
func (t *backendTable) Check(m *failover.Member) failover.Availability {
	if b := t.known(m); b != nil {
		return availability(b.upstream)
	}
	if up := t.static[m.Name]; up != nil {
		return availability(up)
	}
	return failover.Available
}

func availability(up *reverseproxy.Upstream) failover.Availability {
	switch {
	case up.Host == nil:
		return failover.Available // the handler is not provisioned completely yet
	case !up.Healthy():
		return failover.Unhealthy
	case up.Full():
		return failover.Full
	}
	return failover.Available
}

// another reports whether addr is that of another backend than b. It may be of
// none, where a proxy is between.
func (t *backendTable) another(b *backend, addr string) bool {
	if addr == b.member.URI.Dial() {
		return false
	}
	for m := range *t.all.Load() {
		if m != b.member && m.URI.Dial() == addr {
			return true
		}
	}
	return false
}

// dialed is the backend with that upstream, for connections that Caddy's own
// health checks make; nil when there is none.
func (t *backendTable) dialed(up *reverseproxy.Upstream) *backend {
	all := t.all.Load()
	if all == nil || up == nil {
		return nil
	}
	for _, b := range *all {
		if b.upstream.Dial == up.Dial {
			return b
		}
	}
	return nil
}

// Interface guard
var _ failover.Checker = (*backendTable)(nil)

// prune forgets the backends of members that are gone, once nothing goes on there.
// The pool is asked before the table is locked, and only about what the table had
// before: a member that joins meanwhile keeps its backend.
func (t *backendTable) prune(pool *failover.Pool) {
	before := *t.all.Load()
	members := pool.All()
	t.mu.Lock()
	defer t.mu.Unlock()
	all := maps.Clone(*t.all.Load())
	maps.DeleteFunc(all, func(m *failover.Member, b *backend) bool {
		if before[m] != b || members[m] || b.busy() {
			return false
		}
		t.note(b, false)
		return true
	})
	t.all.Store(&all)
}

// busy reports whether there are connections to the backend, or will be.
func (b *backend) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns) > 0 || len(b.dials) > 0 || b.ready != nil
}
