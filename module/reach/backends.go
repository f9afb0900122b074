// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"maps"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// backendTable has the backends of one handler, by the members of its pool. With
// static upstreams it is looked up without a lock and never scanned.
type backendTable struct {
	static map[string]*reverseproxy.Upstream // by URI key; immutable

	hopeless atomic.Int64 // how many backends are

	mu  lockorder.Mutex[backendTable] // guards writing to all; the pool is never called under it
	all atomic.Pointer[map[*failover.Member]*Backend]
}

func (t *backendTable) init(upstreams reverseproxy.UpstreamPool, scheme string) {
	t.static = make(map[string]*reverseproxy.Upstream, len(upstreams))
	for _, up := range upstreams {
		u, err := policyconfig.UpstreamURI(up, scheme)
		if err == nil && t.static[u.Key()] == nil {
			t.static[u.Key()] = up
		}
	}
	t.all.Store(&map[*failover.Member]*Backend{})
}

// Backend is the backend for a member. One that the handler does not list, because it
// was added at run time, gets an upstream of its own.
func (w *Way) Backend(m *failover.Member) *Backend {
	t := &w.backends
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

// Known is the backend for a member if there is one already.
func (w *Way) Known(m *failover.Member) *Backend {
	if all := w.backends.all.Load(); all != nil {
		return (*all)[m]
	}
	return nil
}

// Note remembers whether reaching a backend failed in a way that stays.
func (w *Way) Note(b *Backend, hopeless bool) {
	if b.hopeless.Load() == hopeless || !b.hopeless.CompareAndSwap(!hopeless, hopeless) {
		return
	}
	if hopeless {
		w.backends.hopeless.Add(1)
	} else {
		w.backends.hopeless.Add(-1)
	}
}

// Hopeless reports whether none of a pool's backends will be reached by waiting.
func (w *Way) Hopeless(pool *failover.Pool) bool {
	if w.backends.hopeless.Load() == 0 {
		return false
	}
	for _, m := range pool.Members() {
		if b := w.Known(m); b == nil || !b.hopeless.Load() {
			return false
		}
	}
	return true
}

// Upstream is what Caddy knows of a member: the upstream that the handler lists, or
// the one of its own that the backend got; nil when there is neither. It takes no lock,
// and makes nothing for a member that is only looked at.
func (w *Way) Upstream(m *failover.Member) *reverseproxy.Upstream {
	if b := w.Known(m); b != nil {
		return b.Upstream
	}
	return w.backends.static[m.Name]
}

// another reports whether addr is that of another backend than b. It may be of
// none, where a proxy is between.
func (t *backendTable) another(b *Backend, addr string) bool {
	if addr == b.Member.URI.Dial() {
		return false
	}
	for m := range *t.all.Load() {
		if m != b.Member && m.URI.Dial() == addr {
			return true
		}
	}
	return false
}

// dialed is the backend with that upstream, for connections that Caddy's own
// health checks make; nil when there is none.
func (t *backendTable) dialed(up *reverseproxy.Upstream) *Backend {
	all := t.all.Load()
	if all == nil || up == nil {
		return nil
	}
	for _, b := range *all {
		if b.Upstream.Dial == up.Dial {
			return b
		}
	}
	return nil
}

// Prune forgets the backends of members that are gone, once nothing goes on there.
// The pool is asked before the table is locked, and only about what the table had
// before: a member that joins meanwhile keeps its backend.
func (w *Way) Prune(pool *failover.Pool) {
	t := &w.backends
	before := *t.all.Load()
	members := pool.All()
	t.mu.Lock()
	defer t.mu.Unlock()
	all := maps.Clone(*t.all.Load())
	maps.DeleteFunc(all, func(m *failover.Member, b *Backend) bool {
		if before[m] != b || members[m] || b.Busy() {
			return false
		}
		w.Note(b, false)
		return true
	})
	t.all.Store(&all)
}

// Busy reports whether there are connections to the backend, or will be.
func (b *Backend) Busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns) > 0 || len(b.dials) > 0 || b.ready != nil
}
