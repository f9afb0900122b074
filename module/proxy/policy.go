// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/module/internal/metrics"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

func init() {
	caddy.RegisterModule(new(Failover))
}

// Failover is a selection policy that applies the failover semantics of message
// brokers to the backends of a reverse proxy: every client stays with one
// backend while that works, a request whose backend fails goes to the next one
// whenever that is safe, and while no backend works requests wait for one.
//
// It attaches to its reverse proxy and needs nothing else there: it sees every
// connection and every failure, and alone decides what is sent again. Where
// `lb_retries` and `lb_try_duration` are set they limit it. Nothing is sent again
// without proof that this is safe; `lb_retry_match` is the operator's word for
// it. Health checks take part where they are configured.
//
// Addresses of upstreams must be known when the configuration is loaded: no
// placeholder in them may depend on the request.
type Failover struct {
	policyconfig.Config

	options     address.Options
	allow       *membership.AllowList
	uris        []address.URI
	handler     *reverseproxy.Handler
	transport   *transport
	way         *reach.Way
	listed      listed
	ownTrans    *reverseproxy.HTTPTransport // the default transport, when we made it
	retries     *retryMatch
	maxRetries  int
	tryDuration time.Duration
	tryInterval time.Duration
	dynamic     bool
	// dynamicSource is the configuration of the source of dynamic upstreams.
	dynamicSource string
	proxyName     string
	varKey        string
	key           keyFunc
	cookie        *cookieAffinity

	pool     *failover.Pool
	claim    *poolClaim
	dynamics dynamicTable
	sentinel *reverseproxy.Upstream
	waiting  func() bool // Request.Present of requests whose context tells the rest

	ctx      caddy.Context
	logger   *zap.Logger
	slogger  *slog.Logger
	events   *caddyevents.App
	active   atomic.Bool // the claim is in effect
	stopping atomic.Bool
}

// CaddyModule returns the Caddy module information.
func (*Failover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.selection_policies.failover",
		New: func() caddy.Module { return new(Failover) },
	}
}

// policyCount makes the variable of every policy its own.
var policyCount atomic.Uint64

// Provision attaches the policy to its reverse proxy and claims the pool.
func (f *Failover) Provision(ctx caddy.Context) error {
	f.ctx, f.logger, f.slogger = ctx, ctx.Logger(), ctx.Slogger()
	f.varKey = fmt.Sprintf("caddy_broker.failover.%d", policyCount.Add(1))
	f.waiting = f.serving
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting events app: %w", err)
	}
	f.events = events.(*caddyevents.App)
	if f.handler, err = handlerOf(ctx); err != nil {
		return err
	}
	if err := f.attach(ctx); err != nil {
		return err
	}
	if err := f.readOptions(); err != nil {
		return err
	}
	if err := f.provisionMembership(ctx); err != nil {
		return err
	}
	f.dynamics.policy = f
	if err := f.way.Provision(ctx, reach.Config{
		Handler: f.handler, Options: &f.options, URIs: f.uris, Logger: f.logger,
		Check:   f.mayDial,
		Refused: func(reason error) { f.claim.entry.members.Refused(reason) },
	}); err != nil {
		return err
	}
	if err := f.provisionKey(ctx); err != nil {
		return err
	}
	if err := metrics.Register(ctx.GetMetricsRegistry(), poolCollector{}); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	rememberClients(ctx)
	f.warnPriority()
	if f.claim, err = pools.claim(f); err != nil {
		return err
	}
	if f.cookie != nil {
		f.cookie.enter()
		f.cookie.prepare()
	}
	return f.follow()
}

// Cleanup gives the pool back and ends what the policy holds.
func (f *Failover) Cleanup() error {
	f.stopping.Store(true)
	if f.cookie != nil {
		f.cookie.leave()
	}
	if f.claim != nil {
		pools.release(f.claim)
	}
	if f.way != nil {
		f.way.Close()
	}
	if f.ownTrans != nil {
		return f.ownTrans.Cleanup()
	}
	return nil
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	lb_policy failover {
//	    <options>
//	}
//
// The options are those of [policyconfig.Config.UnmarshalCaddyfileBlock].
func (f *Failover) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume policy name
	if d.NextArg() {
		return d.ArgErr()
	}
	return f.UnmarshalBlock(d)
}

// Select chooses the backend of the request's next attempt, and may wait for
// one. It never returns nil, which Caddy would take as a reason to ask again:
// where there is no backend it returns an upstream that the transport answers
// with an error.
func (f *Failover) Select(pool reverseproxy.UpstreamPool, r *http.Request, w http.ResponseWriter) *reverseproxy.Upstream {
	f.activate()
	ex := f.exchange(r.Context())
	if ex == nil || ex.run != r {
		ex = f.begin(r, w)
	} else {
		ex.resume()
	}
	if ex.final == nil && ex.rehearse(r) {
		return f.sentinel
	}
	if ex.final == nil && ex.hand.state != handGiven {
		if up := ex.choose(pool); up != nil {
			return up
		}
	}
	if ex.hand.state == handGiven {
		return ex.hand.upstream()
	}
	return f.sentinel
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Failover)(nil)
	_ caddy.CleanerUpper    = (*Failover)(nil)
	_ caddyfile.Unmarshaler = (*Failover)(nil)
	_ reverseproxy.Selector = (*Failover)(nil)
)
