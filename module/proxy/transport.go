// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// transport wraps the transport of a reverse_proxy that has the failover policy.
// It sees how every attempt ends and is the only one that decides whether a
// request is sent again: to the same backend it does so itself, for another one
// it makes Caddy ask the policy once more.
//
// It passes on every optional interface that Caddy asks a transport for after
// the policy was provisioned; each has an answer that means "not supported".
type transport struct {
	http.RoundTripper
	policy *Failover

	// http is the net/http transport below, nil where there is none or where it
	// is not what carries the requests (HTTP/3, FastCGI and others).
	http *http.Transport
	base *reverseproxy.HTTPTransport

	// layered: HTTP may be carried in something else than plain HTTP/1, so that
	// bytes of the connection do not tell how far a request got.
	layered bool
	h2c     bool
	// cancels: every attempt needs a context of its own, because ending the
	// connection would end other requests too or does not reach the attempt.
	cancels bool
	// nameless: the name that TLS asks for (tlsName) depends on the request, so
	// nothing but a request can shake hands.
	nameless bool
	tlsName  string
	// dialVars names the variables of a request that Caddy's dialer reads, apart
	// from that of the proxy.
	dialVars []string
}

// newTransport wraps rt for a policy.
func newTransport(f *Failover, rt http.RoundTripper) *transport {
	t := &transport{RoundTripper: rt, policy: f}
	ht, ok := rt.(*reverseproxy.HTTPTransport)
	if ok && ht.TLS != nil {
		t.tlsName = ht.TLS.ServerName
		t.nameless = strings.Contains(caddy.NewReplacer().ReplaceKnown(t.tlsName, ""), "{")
	}
	if !ok || ht.Transport == nil || slices.Equal(ht.Versions, []string{"3"}) {
		return t
	}
	t.base, t.http = ht, ht.Transport
	t.h2c = slices.Contains(ht.Versions, "h2c")
	t.layered = t.h2c || ht.TLS != nil
	t.cancels = t.layered || ht.MaxConnsPerHost > 0
	if ht.ProxyProtocol != "" {
		t.dialVars = append(t.dialVars, assumed.ProxyProtocolVar)
	}
	if ht.TLS != nil {
		t.dialVars = append(t.dialVars, assumed.HTTP1OnlyVar)
	}
	return t
}

// scheme is the scheme of the pool's addresses.
func (t *transport) scheme() string {
	switch {
	case t.base != nil && t.base.TLS != nil:
		return address.SchemeHTTPS
	case t.h2c:
		return address.SchemeH2C
	default:
		return address.SchemeHTTP
	}
}

// speaksHTTP reports whether it is Caddy's transport http, in whatever version.
func (t *transport) speaksHTTP() bool {
	_, ok := t.RoundTripper.(*reverseproxy.HTTPTransport)
	return ok
}

// secures reports whether connections to that port carry TLS.
func (t *transport) secures(port string) bool {
	return t.base != nil && t.base.TLS != nil && !slices.Contains(t.base.TLS.ExceptPorts, port)
}

// RequestHeaderOps passes on RequestHeaderOpsTransport.
func (t *transport) RequestHeaderOps() *headers.HeaderOps {
	if o, ok := t.RoundTripper.(reverseproxy.RequestHeaderOpsTransport); ok {
		return o.RequestHeaderOps()
	}
	return nil
}

// OverrideHealthCheckScheme passes on HealthCheckSchemeOverriderTransport.
func (t *transport) OverrideHealthCheckScheme(base *url.URL, port string) {
	if o, ok := t.RoundTripper.(reverseproxy.HealthCheckSchemeOverriderTransport); ok {
		o.OverrideHealthCheckScheme(base, port)
	}
}

// ProxyProtocolEnabled passes on ProxyProtocolTransport.
func (t *transport) ProxyProtocolEnabled() bool {
	p, ok := t.RoundTripper.(reverseproxy.ProxyProtocolTransport)
	return ok && p.ProxyProtocolEnabled()
}

// RequiresContentLength passes on ContentLengthRequiredTransport.
func (t *transport) RequiresContentLength() bool {
	c, ok := t.RoundTripper.(reverseproxy.ContentLengthRequiredTransport)
	return ok && c.RequiresContentLength()
}

// Interface guards
var (
	_ http.RoundTripper                                = (*transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*transport)(nil)
	_ reverseproxy.ContentLengthRequiredTransport      = (*transport)(nil)
)
