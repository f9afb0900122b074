// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

// keyFunc tells the pool who the client of a request is.
type keyFunc func(r *http.Request, to *failover.Request)

// provisionKey chooses how clients are told apart (option affinity). It looks at
// a request before the first attempt only: afterwards its header is what the
// attempts made of it.
func (f *Failover) provisionKey(caddy.Context) error {
	affinity := f.options.EffectiveAffinity()
	switch affinity.Kind {
	case address.AffinityPool:
		f.key = func(*http.Request, *failover.Request) {}
	case address.AffinityRequest:
		f.key = keyByChance
	case address.AffinityHeader:
		f.key = keyByHeader(textproto.CanonicalMIMEHeaderKey(affinity.Name))
	case address.AffinityCookie:
		f.cookie = &cookieAffinity{name: affinity.Name, policy: f}
		f.key = f.cookie.identify
	default:
		f.key = keyByClientIP
	}
	return nil
}

// keyByChance makes every request its own client.
func keyByChance(_ *http.Request, to *failover.Request) { to.Key = rand.Uint64() }

func keyByClientIP(r *http.Request, to *failover.Request) {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		// A client on a unix socket: all are one, and that is no key of theirs.
		host, _, _ := strings.Cut(ip, "%")
		to.Key = affinity.KeyOf(host)
		return
	}
	to.Key, to.Keyed = affinity.KeyOfAddr(addr), true
}

// clientOf is who has sent a request, whatever option affinity says: its address, of
// IPv6 what one site is given. It is 0 for a client on a unix socket, of which
// nothing is known.
func clientOf(r *http.Request) uint32 {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return 0
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		addr = netip.PrefixFrom(addr, siteBits).Masked().Addr()
	}
	return max(uint32(affinity.KeyOfAddr(addr)>>32), 1)
}

// siteBits is how much of an IPv6 address one site has at least as its own to choose
// from, and with it one client.
const siteBits = 48

// keyByHeader keys a request by the value of a header, and one that has none by
// its client's address.
func keyByHeader(name string) keyFunc {
	return func(r *http.Request, to *failover.Request) {
		v := r.Header.Get(name)
		if name == "Host" {
			v = r.Host
		}
		if v == "" {
			keyByClientIP(r, to)
			return
		}
		to.Key, to.Keyed = affinity.KeyOf(v), true
	}
}
