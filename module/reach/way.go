// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// Way is how one handler reaches the backends of its pool: Caddy's transport, with
// what is known of it, and each backend with its connections.
type Way struct {
	Config
	ctx       context.Context //nolint:containedctx // of the configuration
	transport http.RoundTripper

	// http is the net/http transport below, nil where there is none or where it
	// is not what carries the requests (HTTP/3, FastCGI and others).
	http *http.Transport
	base *reverseproxy.HTTPTransport
	h2c  bool
	// nameless: the name that TLS asks for (tlsName) depends on the request, so
	// nothing but a request can shake hands.
	nameless bool
	tlsName  string
	// dialVars names the variables of a request that Caddy's dialer reads, apart
	// from that of the proxy.
	dialVars []string

	backends backendTable
	warmers  warmSet
}

// Config is what a handler says of its way to its backends.
type Config struct {
	Handler *reverseproxy.Handler
	Options *address.Options
	URIs    []address.URI
	Logger  *zap.Logger
	// Check returns why an announced address may not be dialled at what its host
	// resolves to, and at that port; with no valid ip why it may not be dialled at all.
	Check func(u address.URI, ip netip.Addr, port string) error
	// Refused is told of every dial that was refused, and why.
	Refused func(reason error)
}

// New is the way through a transport. Until it is provisioned it only knows what
// the transport is like.
func New(rt http.RoundTripper) *Way {
	w := &Way{transport: rt}
	ht, ok := rt.(*reverseproxy.HTTPTransport)
	if ok && ht.TLS != nil {
		w.tlsName = ht.TLS.ServerName
		w.nameless = strings.Contains(caddy.NewReplacer().ReplaceKnown(w.tlsName, ""), "{")
	}
	if !ok || ht.Transport == nil || slices.Equal(ht.Versions, []string{"3"}) {
		return w
	}
	w.base, w.http = ht, ht.Transport
	w.h2c = slices.Contains(ht.Versions, "h2c")
	if ht.ProxyProtocol != "" {
		w.dialVars = append(w.dialVars, assumed.ProxyProtocolVar)
	}
	if ht.TLS != nil {
		w.dialVars = append(w.dialVars, assumed.HTTP1OnlyVar)
	}
	return w
}

// Provision makes the connections of the transport those of the way.
func (w *Way) Provision(ctx caddy.Context, cfg Config) error {
	w.ctx, w.Config = ctx, cfg
	w.backends.init(cfg.Handler.Upstreams, w.Scheme())
	if err := w.hookDials(ctx); err != nil {
		return err
	}
	w.warn()
	return nil
}

// Scheme is the scheme of the pool's addresses.
func (w *Way) Scheme() string {
	switch {
	case w.base != nil && w.base.TLS != nil:
		return address.SchemeHTTPS
	case w.h2c:
		return address.SchemeH2C
	default:
		return address.SchemeHTTP
	}
}

// Owned reports whether the connections are those of this package; those of other
// transports than Caddy's HTTP/1 and HTTP/2 are not.
func (w *Way) Owned() bool { return w.http != nil }

// Layered reports whether HTTP may be carried in something else than plain HTTP/1, so
// that bytes of the connection do not tell how far a request got.
func (w *Way) Layered() bool { return w.base != nil && (w.h2c || w.base.TLS != nil) }

// Cancels reports whether every attempt needs a context of its own, because ending
// its connection would end other requests too or does not reach the attempt.
func (w *Way) Cancels() bool { return w.Layered() || w.base != nil && w.base.MaxConnsPerHost > 0 }

// Askable reports whether a connection can be opened without a request of a client.
func (w *Way) Askable() bool { return w.Owned() && !w.nameless }

// GiveUp makes net/http give up a request that it was given and that has no
// context of its own to cancel.
func (w *Way) GiveUp(req *http.Request) {
	if w.http != nil {
		assumed.EndRoundTrip(w.http, req)
	}
}

// CloseIdle closes the connections that carry nothing.
func (w *Way) CloseIdle() {
	if w.http != nil {
		w.http.CloseIdleConnections()
	}
}

// MaySpeakHTTP2 reports whether a connection may turn out to speak HTTP/2.
func (w *Way) MaySpeakHTTP2() bool {
	return w.Owned() && (w.h2c || w.base.TLS != nil && slices.Contains(w.base.Versions, "2"))
}

// Nameless reports whether the name that TLS asks for depends on the request.
func (w *Way) Nameless() bool { return w.nameless }

// SpeaksHTTP reports whether it is Caddy's transport http, in whatever version.
func (w *Way) SpeaksHTTP() bool {
	_, ok := w.transport.(*reverseproxy.HTTPTransport)
	return ok
}

// secures reports whether connections to that port carry TLS.
func (w *Way) secures(port string) bool {
	return w.base != nil && w.base.TLS != nil && !slices.Contains(w.base.TLS.ExceptPorts, port)
}
