// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// dialer makes connections: net/http's DialContext.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// hookDials makes every connection that the transport below opens a conn.
func (w *Way) hookDials(ctx caddy.Context) error {
	if w.http == nil {
		return nil
	}
	w.keepIdle()
	if err := w.stretchDialTimeout(ctx); err != nil {
		return err
	}
	dial := dialer(w.http.DialContext)
	w.hookProxy()
	own, err := w.ownDialer(ctx, dial)
	if err != nil {
		return err
	}
	w.http.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		b, e, late := w.dialedFor(ctx, addr)
		switch {
		case late:
			return nil, fault.ErrAbandoned
		case b == nil:
			return dial(ctx, network, addr)
		case ctx.Value(pingKey{}) != nil:
			return w.dial(ctx, own, b, e, network, addr)
		}
		return w.dial(ctx, dial, b, e, network, addr)
	}
	if w.http.DialTLSContext != nil || w.base.TLS != nil && w.Options.Backup {
		// Caddy's own one dials by itself, and the connection below it would not
		// be ours; and a warm connection has TLS already.
		w.http.DialTLSContext = w.dialTLS
	}
	return nil
}

// idleConns is how many idle connections to a backend are kept. One costs some 20 KiB of
// memory; with fewer than there are requests at a time, many a request needs a new one.
const idleConns = 512

// keepIdle keeps more idle connections than Caddy's transport does by default.
func (w *Way) keepIdle() {
	if w.base.KeepAlive.MaxIdleConnsPerHost == assumed.IdleConns {
		w.base.KeepAlive.MaxIdleConnsPerHost, w.http.MaxIdleConnsPerHost = idleConns, idleConns
	}
}

// stretchDialTimeout makes room for a connection_timeout that is longer than the
// default of Caddy's transport, which otherwise would end dials before.
func (w *Way) stretchDialTimeout(ctx caddy.Context) error {
	longest := w.longestConnectionTimeout()
	if time.Duration(w.base.DialTimeout) != assumed.DialTimeout || longest <= assumed.DialTimeout {
		return nil
	}
	proxy := w.http.Proxy
	w.base.DialTimeout = caddy.Duration(longest)
	rt, err := w.base.NewTransport(ctx)
	if err != nil {
		return fmt.Errorf("provisioning transport with connection_timeout %s: %w", longest, err)
	}
	rt.Proxy = proxy
	w.base.Transport, w.http = rt, rt
	return nil
}

// longestConnectionTimeout is how long the most patient address dials.
func (w *Way) longestConnectionTimeout() time.Duration {
	if own := w.Options.Nested.ConnectionTimeout; own != nil {
		return *own
	}
	longest := address.DefaultConnectionTimeout
	for _, u := range w.URIs {
		if own := u.Options.ConnectionTimeout; own != nil {
			longest = max(longest, *own)
		}
	}
	return longest
}

// dialedFor is what a dial to addr is for: an attempt of a request, a ping, or
// neither. It comes late when the request is at another backend by now: net/http
// dials on a goroutine of its own, also for an attempt that has ended.
func (w *Way) dialedFor(ctx context.Context, addr string) (b *Backend, e *Errand, late bool) {
	if b, ok := ctx.Value(pingKey{}).(*Backend); ok {
		return b, nil, false
	}
	if of := errandOf(ctx); of != nil {
		e = of.Run.Latest()
		if w.backends.another(e.Backend, addr) {
			return nil, nil, true
		}
		e.dialed.Store(true)
		return e.Backend, e, false
	}
	if di, ok := reverseproxy.GetDialInfo(ctx); ok {
		return w.backends.dialed(di.Upstream), nil, false
	}
	return nil, nil, false
}

// dial opens a connection to b, or takes the warm one. connection_timeout
// begins here; for TLS its rest is the deadline of the handshake. The dial waits
// for its turn where many are pending, and ends early when the pool gives it up,
// or when the request has no more time.
func (w *Way) dial(ctx context.Context, dial dialer, b *Backend, e *Errand, network, addr string) (net.Conn, error) {
	if e != nil && !e.Fresh && w.base.TLS == nil {
		if nc := b.takeWarm(); nc != nil {
			return nc, nil
		}
	}
	if b.Member.Restricted() {
		dial = w.checked(dial, b)
	}
	limits := b.Member.Limits()
	deadline, cause := time.Now().Add(limits.ConnectionTimeout), fault.ErrConnectionTimeout
	if e != nil && !e.ConnectBy.IsZero() && e.ConnectBy.Before(deadline) {
		deadline, cause = e.ConnectBy, fault.ErrNoTime
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithDeadlineCause(ctx, deadline, cause)
	defer stop()
	if e != nil {
		keep := context.AfterFunc(e.Attempt.Abandoned(), func() { cancel(fault.ErrAbandoned) })
		defer keep()
	}
	d := b.startDial(cancel)
	defer b.endDial(d)
	queues := e != nil || ctx.Value(warmKey{}) != nil
	if queues {
		if err := b.Member.Queue.Enter(ctx); err != nil {
			if cause = context.Cause(ctx); errors.Is(cause, fault.ErrConnectionTimeout) {
				return nil, fault.ErrQueued // that was our doing
			}
			return nil, cause
		}
	}
	watch := newDialWatch(ctx)
	began, took := time.Now(), time.Duration(0)
	nc, err := dial(watch, network, addr)
	if queues {
		if err == nil {
			took = max(time.Since(began), 1) // the clock may be coarse
		}
		b.Member.Queue.Leave(took)
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
			// What the dial itself says is only that it was ended.
			return nil, context.Cause(ctx)
		}
		if !time.Now().Before(deadline) {
			return nil, cause // the poller was earlier than the context
		}
		return nil, watch.explain(err)
	}
	c := newConn(nc, b, w.base.TLS != nil)
	socket.Tune(nc, limits.MaxInactivityDuration, w.base.KeepAlive.ProbeInterval < 0)
	if c.secure {
		_ = nc.SetDeadline(deadline)
		if e != nil {
			c.abandonOn(e.Attempt.Abandoned())
		}
	}
	return c, nil
}
