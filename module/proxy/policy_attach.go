// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// handlerOf finds the reverse proxy that the policy of ctx belongs to. As the
// fallback of another policy it could not do its work: cookie, header and query
// return the backend they stick to, however often it fails.
func handlerOf(ctx caddy.Context) (*reverseproxy.Handler, error) {
	switch parent := assumed.Owner(ctx).(type) {
	case *reverseproxy.Handler:
		return parent, nil
	case reverseproxy.Selector:
		return nil, fmt.Errorf("failover cannot be the fallback of %s, which would repeat a dead backend for ever: "+
			"use `lb_policy failover` with option affinity, such as `affinity cookie NAME` or `affinity header NAME`",
			parent.(caddy.Module).CaddyModule().ID.Name())
	case nil:
		return nil, errors.New("the failover policy works in a reverse_proxy only")
	default:
		return nil, fmt.Errorf("the failover policy works in a reverse_proxy only, not in %T", parent)
	}
}

// attach puts the policy between the handler and its transport, and takes over
// the handler's decisions about retries.
func (f *Failover) attach(ctx caddy.Context) error {
	h := f.handler
	if h.Transport == nil {
		f.ownTrans = new(reverseproxy.HTTPTransport)
		if err := f.ownTrans.Provision(ctx); err != nil {
			return fmt.Errorf("provisioning default transport: %w", err)
		}
		h.Transport = f.ownTrans
	}
	f.way = reach.New(h.Transport)
	f.listed = listed{way: f.way, health: health{tell: f.tellHealth}}
	f.transport = &transport{h.Transport, f}
	h.Transport = f.transport
	f.dynamic = h.DynamicUpstreamsRaw != nil || h.DynamicUpstreams != nil
	f.dynamicSource = string(h.DynamicUpstreamsRaw)
	if err := f.holdSource(ctx); err != nil {
		return err
	}
	f.proxyName = h.ProxyStatusName
	if f.proxyName == "" {
		f.proxyName = proxystatus.DefaultName
	}
	assumed.PutOffLog(h)
	f.sentinel = &reverseproxy.Upstream{Host: new(reverseproxy.Host), Dial: "no-backend.invalid:0"}

	// Caddy asks again whenever the transport returns a DialError, and at once;
	// the user's limits, which count and wait there, are ours.
	lb := h.LoadBalancing
	f.maxRetries, f.tryDuration, f.tryInterval = lb.Retries, time.Duration(lb.TryDuration), time.Duration(lb.TryInterval)
	lb.Retries, lb.TryDuration, lb.TryInterval = assumed.EndlessRetries, 0, 0
	var err error
	if f.retries, err = loadRetryMatch(ctx, f, lb); err != nil {
		return err
	}
	return nil
}

// readOptions checks the options and makes the list of addresses.
func (f *Failover) readOptions() error {
	var err error
	f.options, f.uris, err = f.Addresses(f.handler.Upstreams, f.way.Scheme(), f.dynamic)
	return err
}

// warnPriority names the preferred backends that are in no list: they join the pool, as
// the first ones, and one that is there by a slip of the pen would get all requests.
func (f *Failover) warnPriority() {
	if f.dynamic || f.options.UpdateURIsURL != "" || f.options.Discovery != "" {
		return // which may name it
	}
	listed := make(map[string]bool, len(f.handler.Upstreams))
	for _, up := range f.handler.Upstreams {
		if u, err := policyconfig.UpstreamURI(up, f.way.Scheme()); err == nil {
			listed[u.Key()] = true
		}
	}
	for _, u := range f.options.PriorityURIs {
		if !listed[u.Key()] {
			f.logger.Warn("priority_uris names a backend that is not among the upstreams: it joins them, and is preferred; if that is not meant, correct it",
				zap.String("upstream", u.Name()))
		}
	}
}
