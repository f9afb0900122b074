// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// dialer makes connections: net/http's DialContext.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// hookDials makes every connection that the transport below opens a conn.
func (t *transport) hookDials(ctx caddy.Context) error {
	if t.http == nil {
		return nil
	}
	if err := t.stretchDialTimeout(ctx); err != nil {
		return err
	}
	dial := dialer(t.http.DialContext)
	t.hookProxy()
	own, err := t.ownDialer(ctx, dial)
	if err != nil {
		return err
	}
	t.http.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		b, tr, late := t.dialedFor(ctx, addr)
		switch {
		case late:
			return nil, fault.ErrAbandoned
		case b == nil:
			return dial(ctx, network, addr)
		case ctx.Value(pingKey{}) != nil:
			return t.dial(ctx, own, b, tr, network, addr)
		}
		return t.dial(ctx, dial, b, tr, network, addr)
	}
	if t.http.DialTLSContext != nil || t.base.TLS != nil && t.policy.options.Backup {
		// Caddy's own one dials by itself, and the connection below it would not
		// be ours; and a warm connection has TLS already.
		t.http.DialTLSContext = t.dialTLS
	}
	return nil
}

// stretchDialTimeout makes room for a connection_timeout that is longer than the
// default of Caddy's transport, which otherwise would end dials before.
func (t *transport) stretchDialTimeout(ctx caddy.Context) error {
	longest := t.policy.longestConnectionTimeout()
	if time.Duration(t.base.DialTimeout) != assumed.DialTimeout || longest <= assumed.DialTimeout {
		return nil
	}
	proxy := t.http.Proxy
	t.base.DialTimeout = caddy.Duration(longest)
	rt, err := t.base.NewTransport(ctx)
	if err != nil {
		return fmt.Errorf("provisioning transport with connection_timeout %s: %w", longest, err)
	}
	rt.Proxy = proxy
	t.base.Transport, t.http = rt, rt
	return nil
}

// dialedFor is what a dial to addr is for: an attempt of a request, a ping, or
// neither. It comes late when the request is at another backend by now: net/http
// dials on a goroutine of its own, also for an attempt that has ended.
func (t *transport) dialedFor(ctx context.Context, addr string) (b *backend, tr *try, late bool) {
	if b, ok := ctx.Value(pingKey{}).(*backend); ok {
		return b, nil, false
	}
	if of := tryOf(ctx); of != nil {
		tr = of.ex.try.Load()
		if t.policy.backends.another(tr.backend, addr) {
			return nil, nil, true
		}
		tr.mark(markDialed)
		return tr.backend, tr, false
	}
	if di, ok := reverseproxy.GetDialInfo(ctx); ok {
		return t.policy.backends.dialed(di.Upstream), nil, false
	}
	return nil, nil, false
}

// dial opens a connection to b, or takes the warm one. connection_timeout
// begins here; for TLS its rest is the deadline of the handshake. The dial waits
// for its turn where many are pending, and ends early when the pool gives it up,
// or when the request has no more time.
func (t *transport) dial(ctx context.Context, dial dialer, b *backend, tr *try, network, addr string) (net.Conn, error) {
	if tr != nil && !tr.fresh && t.base.TLS == nil {
		if nc := b.takeWarm(); nc != nil {
			return nc, nil
		}
	}
	if b.member.Restricted() {
		dial = t.checked(dial, b)
	}
	limits := b.member.Limits()
	deadline, cause := time.Now().Add(limits.ConnectionTimeout), fault.ErrConnectionTimeout
	if tr != nil && !tr.connectBy.IsZero() && tr.connectBy.Before(deadline) {
		deadline, cause = tr.connectBy, fault.ErrNoTime
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithDeadlineCause(ctx, deadline, cause)
	defer stop()
	if tr != nil {
		keep := context.AfterFunc(tr.abandoned, func() { cancel(fault.ErrAbandoned) })
		defer keep()
	}
	d := b.startDial(cancel)
	defer b.endDial(d)
	queues := tr != nil || ctx.Value(warmKey{}) != nil
	if queues {
		if err := b.member.Queue.Enter(ctx); err != nil {
			if cause = context.Cause(ctx); errors.Is(cause, fault.ErrConnectionTimeout) {
				return nil, fault.ErrQueued // that was our doing
			}
			return nil, cause
		}
	}
	w := newDialWatch(ctx)
	began, took := time.Now(), time.Duration(0)
	nc, err := dial(w, network, addr)
	if queues {
		if err == nil {
			took = max(time.Since(began), 1) // the clock may be coarse
		}
		b.member.Queue.Leave(took)
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
			// What the dial itself says is only that it was ended.
			return nil, context.Cause(ctx)
		}
		if !time.Now().Before(deadline) {
			return nil, cause // the poller was earlier than the context
		}
		return nil, w.explain(err)
	}
	c := newConn(nc, b, t.base.TLS != nil)
	socket.Tune(nc, limits.MaxInactivityDuration, t.base.KeepAlive.ProbeInterval < 0)
	if c.secure {
		_ = nc.SetDeadline(deadline)
		if tr != nil {
			c.abandonOn(tr.abandoned)
		}
	}
	return c, nil
}

// dialError is the error of a dial with its cause, which the DialError of
// Caddy's transport keeps to itself.
type dialError struct{ err, cause error }

func (e *dialError) Error() string { return e.err.Error() }

func (e *dialError) Unwrap() []error { return []error{e.err, e.cause} }

// dialWatch learns why a dial fails. It is the context of the dial, with hooks of
// its own in place of the request's, which nothing in a dial calls:
// [httptrace.WithClientTrace] would join them, for more than the rest of it costs.
type dialWatch struct {
	context.Context
	hooks context.Context

	mu    sync.Mutex
	cause error // the first one
}

func newDialWatch(ctx context.Context) *dialWatch {
	w := &dialWatch{Context: ctx}
	w.hooks = httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		DNSDone:     func(info httptrace.DNSDoneInfo) { w.note(info.Err) },
		ConnectDone: func(_, _ string, err error) { w.note(err) },
	})
	return w
}

// Value finds the hooks before anything else, and of the request's variables
// only what was kept for dials.
func (w *dialWatch) Value(key any) any {
	if v := w.hooks.Value(key); v != nil {
		return v
	}
	if key == caddyhttp.VarsCtxKey {
		if tr := tryOf(w.Context); tr != nil {
			return tr.dialVars()
		}
	}
	return w.Context.Value(key)
}

func (w *dialWatch) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil && err != nil {
		w.cause = err
	}
}

func (w *dialWatch) explain(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		return err
	}
	return &dialError{err, w.cause}
}

// dialTLS dials and shakes hands as Caddy's transport does where the server's
// name depends on the request or the PROXY protocol comes first.
func (t *transport) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	var vars map[string]any
	if of := tryOf(ctx); of != nil {
		vars = of.dialVars()
	}
	h1Only, _ := vars[assumed.HTTP1OnlyVar].(bool)
	b, tr, late := t.dialedFor(ctx, addr)
	if !late && b != nil && tr != nil && !tr.fresh {
		if nc := b.takeWarm(); nc != nil {
			return nc, nil
		}
	}
	nc, err := t.http.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := t.http.TLSClientConfig.Clone()
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); tr != nil && t.nameless {
		cfg.ServerName, _ = vars[serverNameVar].(string)
	} else if ok {
		cfg.ServerName = repl.ReplaceAll(cfg.ServerName, "")
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
		if di, ok := reverseproxy.GetDialInfo(ctx); ok && t.base.ProxyProtocol != "" {
			cfg.ServerName = di.Host // addr has the client in it
		}
	}
	if h1Only {
		cfg.NextProtos = nil
	}
	if d := t.http.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, fault.ErrConnectionTimeout)
		defer cancel()
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = tc.Close()
		return nil, err
	}
	return tc, nil
}
