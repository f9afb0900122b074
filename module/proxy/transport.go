// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
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
