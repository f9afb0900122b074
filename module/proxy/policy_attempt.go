// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/lifecycle"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// briefly is how long a request waits for another backend where waiting cannot
// help: long enough to get one that is free.
const briefly = 10 * time.Millisecond

// choose takes the next member of the pool, and returns its upstream. It is nil
// where the request is refused. An attempt that has no connection yet is one that
// was chosen before Caddy asked.
func (ex *exchange) choose(pool reverseproxy.UpstreamPool) *reverseproxy.Upstream {
	f := ex.policy
	var listed *dynamicList
	if f.dynamic {
		listed = f.dynamics.list(pool)
		ex.req.Checker = listed
	}
	if t := ex.try.Load(); t == nil || !t.Attempt.Dialing() {
		if err := ex.next(); err != nil {
			ex.refuse(err)
			return nil
		}
	}
	b := ex.try.Load().Backend
	ex.place.At(f.claim.entry.name, b.Member.Name)
	if listed != nil {
		if up := listed.find(b.Member); up != nil {
			return up
		}
	}
	return b.Upstream
}

// next asks the pool. Where waiting cannot help it takes only what is free: when
// every backend fails in a way that stays, and when there is a response already.
func (ex *exchange) next() error {
	if !ex.rejecting() && !ex.policy.hopeless() {
		return ex.ask()
	}
	return ex.askBy(time.Now().Add(briefly))
}

// ask begins an attempt of the pool's, which awaits its end from now on.
func (ex *exchange) ask() error { return ex.askBy(ex.req.Deadline) }

// askBy asks, and waits for a backend until a moment that may be earlier than the
// request's own; the attempt has the request's time.
func (ex *exchange) askBy(by time.Time) error {
	f, deadline := ex.policy, ex.req.Deadline
	ex.req.Unread = ex.unread()
	if deadline.IsZero() || by.Before(deadline) {
		ex.req.Deadline = by
	}
	a, err := f.pool.Next(ex.run.Context(), &ex.req)
	ex.req.Deadline = deadline
	if err != nil {
		return err
	}
	m, before := a.Member(), ex.try.Load()
	t := &ex.first
	if before != nil {
		t = new(try)
		if before.Backend.Member != m {
			f.claim.entry.counters.failover(ex.reason(before))
		}
	}
	t.ex, t.Run, t.Backend = ex, ex, f.way.Backend(m)
	t.Attempt, t.ConnectBy = a, a.ConnectBy()
	// What makes up for a stale connection must not meet another one, also when it
	// had to wait for the backend.
	t.Fresh = slices.ContainsFunc(ex.reattached, func(b *reach.Backend) bool { return b.Member.Name == m.Name })
	ex.try.Store(t)
	return nil
}

// reason is why an attempt was not the answer, as metrics say it.
func (ex *exchange) reason(t *try) string {
	switch {
	case ex.hand.try == t:
		return "lb_retry_match"
	case ex.last != nil:
		return ex.last.kind.Error
	}
	return ""
}

// resume prepares for another attempt of the same request, where none is chosen
// yet: the last one failed.
func (ex *exchange) resume() {
	f, t := ex.policy, ex.try.Load()
	if f.tryInterval > 0 && ex.final == nil && ex.hand.state != handGiven && t != nil && !t.Attempt.Dialing() {
		ex.pause(f.tryInterval)
	}
}

// pause is lb_try_interval: unlike Caddy's it ends when the client leaves.
func (ex *exchange) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ex.run.Context().Done():
	case <-ex.policy.ctx.Done():
	}
}

// settled counts how a request that was sent again fared.
func (ex *exchange) settled(answered bool) {
	if ex.replayed {
		ex.replayed = false
		ex.policy.claim.entry.counters.replay(answered)
	}
}

// serving reports whether the policy's configuration is in use. Requests that only
// wait for a backend do not hold up the end of an old one.
func (f *Failover) serving() bool { return !f.stopping.Load() }

// activate puts the claim into effect: with the first request, or when the
// configuration has started, whichever comes first.
func (f *Failover) activate() {
	if !f.active.Load() {
		pools.activate(f.claim)
		f.active.Store(true)
	}
}

// follow makes the policy learn when its configuration starts and stops.
func (f *Failover) follow() error {
	registry := f.ctx.GetMetricsRegistry()
	if err := lifecycle.On(f.events, "started", func() {
		f.activate()
		assumed.Lower(registry, Resting)
	}); err != nil {
		return err
	}
	return lifecycle.On(f.events, "stopping", func() { f.stopping.Store(true) })
}

// say logs an event that the pool itself does not log.
func (f *Failover) say(e report.Event) {
	level, attrs := e.Line()
	f.slogger.Log(f.ctx, level, e.Name, attrs...)
}

// emit passes an event of the pool on to Caddy's events app.
func (f *Failover) emit(e report.Event) {
	if f.ctx.Err() == nil && f.events.ShouldEmit(e.Name) {
		f.events.Emit(f.ctx, e.Name, e.Data)
	}
}
