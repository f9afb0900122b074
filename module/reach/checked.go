// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// forbiddenError says that an announced address leads where nothing may be sent.
type forbiddenError struct {
	uri    address.URI
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
// A health check may have another port (health_port), or the operator's own
// target (health_upstream), which is not checked.
func (w *Way) checked(dial dialer, b *Backend) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		u := b.Member.URI
		if err := w.Check(u, netip.Addr{}, ""); err != nil {
			return nil, w.forbid(u, netip.Addr{}, err)
		}
		info, ok := reverseproxy.GetDialInfo(ctx)
		if !ok {
			info.Port = u.Port
		}
		if ctx.Value(pingKey{}) != nil && info.Upstream != b.Upstream {
			return dial(ctx, network, addr)
		}
		if ip, err := netip.ParseAddr(u.Host); err == nil {
			if err := w.Check(u, ip, info.Port); err != nil {
				return nil, w.forbid(u, ip, err)
			}
			return dial(ctx, network, addr)
		}
		if caddyhttp.GetVar(ctx, assumed.ForwardProxyVar) != nil {
			return nil, w.forbid(u, netip.Addr{}, sources.ErrUncheckable)
		}
		ips, err := w.resolver().LookupNetIP(ctx, "ip", u.Host)
		if err != nil {
			return nil, reverseproxy.NewDialError(err)
		}
		var refused, failed error
		for i, each := range ips {
			ip := each.Unmap()
			if err := w.Check(u, ip, info.Port); err != nil {
				refused = w.forbid(u, ip, err)
				continue
			}
			info.Network, info.Address = "tcp", net.JoinHostPort(ip.String(), info.Port)
			nc, err := dialOne(ctx, dial, info, len(ips)-i)
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
func dialOne(ctx context.Context, dial dialer, info reverseproxy.DialInfo, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return dial(context.WithValue(ctx, assumed.DialInfoKey, info), info.Network, info.Address)
}

// forbid counts a refusal and makes its error, which fails the dial.
func (w *Way) forbid(u address.URI, at netip.Addr, reason error) error {
	w.Refused(reason)
	return reverseproxy.NewDialError(&forbiddenError{u, at, reason})
}

// resolver is the one that the transport uses.
func (w *Way) resolver() *net.Resolver {
	if w.base == nil || w.base.Resolver == nil || len(w.base.Resolver.Addresses) == 0 {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		addr, err := caddy.ParseNetworkAddressWithDefaults(w.base.Resolver.Addresses[0], "udp", 53)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, addr.Network, addr.JoinHostPort(0))
	}}
}
