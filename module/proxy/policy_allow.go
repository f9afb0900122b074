// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/metrics"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// provisionMembership makes what says which addresses may be announced.
func (f *Failover) provisionMembership(ctx caddy.Context) error {
	allow, err := membership.NewAllowList(f.options.UpdateURIsAllow, f.uris)
	if err != nil {
		return err
	}
	allow.Own = socket.Listens
	f.allow = allow
	if err := metrics.Register(ctx.GetMetricsRegistry(), sources.Collector{Followers: pools.followers}); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// mayJoin reports whether an address that was announced may join the pool.
func (f *Failover) mayJoin(u address.URI) error {
	if cluster.Has(u.Host, u.Port) {
		return sources.ErrOwnNetwork
	}
	if err := f.allow.Check(u); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(u.Host); err != nil && !f.way.Owned() {
		return sources.ErrUncheckable
	}
	return nil
}

// mayDial reports whether an announced address may be dialled at what its host
// resolves to, and at that port: the one of the health check may differ, and a
// backend that would be refused shall not pass its checks either. With no valid ip
// it reports whether the address may be dialled at all.
func (f *Failover) mayDial(u address.URI, ip netip.Addr, port string) error {
	if !ip.IsValid() {
		return f.mayJoin(u)
	}
	if cluster.Has(ip.String(), u.Port) {
		return sources.ErrOwnNetwork
	}
	return cmp.Or(f.allow.CheckDial(u, ip, u.Port), f.allow.CheckDial(u, ip, port))
}
