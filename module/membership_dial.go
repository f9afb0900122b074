// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
)

// forwardProxyVar is where reverse_proxy notes the proxy that carries a request.
const forwardProxyVar = "reverse_proxy.proxy"

var (
	errOwnNetwork  = errors.New("it is a balancer of this network")
	errUncheckable = errors.New("this transport resolves names by itself, so where the name leads cannot be checked: only IP addresses may be announced")
)

// provisionMembership makes what says which addresses may be announced.
func (f *Failover) provisionMembership(ctx caddy.Context) error {
	allow, err := failover.NewAllowList(f.options.UpdateURIsAllow, f.uris)
	if err != nil {
		return err
	}
	allow.Own = ownSockets.listens
	f.allow = allow
	if err := register(ctx.GetMetricsRegistry(), membershipCollector{}); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// mayJoin tells whether an address that was announced may join the pool.
func (f *Failover) mayJoin(u failover.URI) error {
	if networkHas(u) {
		return errOwnNetwork
	}
	if err := f.allow.Check(u); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(u.Host); err != nil && f.transport.http == nil {
		return errUncheckable
	}
	return nil
}

// forbiddenError says that an announced address leads where nothing may be sent.
type forbiddenError struct {
	uri    failover.URI
	at     netip.Addr
	reason error
}

func (e *forbiddenError) Error() string {
	if !e.at.IsValid() {
		return fmt.Sprintf("announced address %s refused: %v", e.uri.Name(), e.reason)
	}
	return fmt.Sprintf("announced address %s leads to %s, which is refused: %v", e.uri.Name(), e.at, e.reason)
}

func (e *forbiddenError) Unwrap() error { return e.reason }

// checked dials a member that only others than the operator named: at each dial
// its name is resolved and every address is checked before a packet is sent to it.
func (t *transport) checked(dial dialer, b *backend) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		f, u := t.policy, b.member.URI
		if err := f.mayJoin(u); err != nil {
			return nil, f.forbid(u, netip.Addr{}, err)
		}
		if _, err := netip.ParseAddr(u.Host); err == nil {
			return dial(ctx, network, addr) // mayJoin has checked it
		}
		if caddyhttp.GetVar(ctx, forwardProxyVar) != nil {
			return nil, f.forbid(u, netip.Addr{}, errUncheckable)
		}
		ips, err := t.resolver().LookupNetIP(ctx, "ip", u.Host)
		if err != nil {
			return nil, reverseproxy.NewDialError(err)
		}
		var refused, failed error
		for i, each := range ips {
			ip := each.Unmap()
			if err := f.allow.CheckDial(u, ip); err != nil {
				refused = f.forbid(u, ip, err)
				continue
			}
			nc, err := dialOne(ctx, dial, u, ip, len(ips)-i)
			if err == nil {
				return nc, nil
			}
			failed = err
			if ctx.Err() != nil {
				break
			}
		}
		if failed == nil {
			failed = refused
		}
		if failed == nil {
			failed = reverseproxy.NewDialError(&net.DNSError{Err: "no address", Name: u.Host})
		}
		return nil, failed
	}
}

// dialOne dials one of several addresses, with its share of the time.
func dialOne(ctx context.Context, dial dialer, u failover.URI, ip netip.Addr, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	addr := net.JoinHostPort(ip.String(), u.Port)
	info, _ := reverseproxy.GetDialInfo(ctx)
	info.Network, info.Address = "tcp", addr
	return dial(context.WithValue(ctx, dialInfoKey, info), "tcp", addr)
}

// forbid counts a refusal and makes its error, which fails the dial.
func (f *Failover) forbid(u failover.URI, at netip.Addr, reason error) error {
	f.claim.entry.members.counts.refuse(reason)
	return reverseproxy.NewDialError(&forbiddenError{u, at, reason})
}

// resolver is the one that the transport uses.
func (t *transport) resolver() *net.Resolver {
	if t.base == nil || t.base.Resolver == nil || len(t.base.Resolver.Addresses) == 0 {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		addr, err := caddy.ParseNetworkAddressWithDefaults(t.base.Resolver.Addresses[0], "udp", 53)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, addr.Network, addr.JoinHostPort(0))
	}}
}
