// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// pingTimeout is how long a ping may take in all, unless the user's health check
// has a limit of its own.
const pingTimeout = 5 * time.Second

// pingSpec is what a ping of one backend sends and expects: option ping, or the
// active health check where the user configured one.
type pingSpec struct {
	request  *http.Request
	dial     reverseproxy.DialInfo
	host     string // for TLS
	timeout  time.Duration
	standard bool // nothing was configured: HTTP/2 has a ping of its own

	check  bool // it is a health check: not every answer will do
	status int
	body   *regexp.Regexp
	size   int64
}

// pingFor makes the ping of a backend.
func (w *Way) pingFor(b *Backend) *pingSpec {
	u := b.Member.URI
	p := &pingSpec{
		timeout: pingTimeout,
		dial:    dialInfoOf(b.Upstream, u),
		host:    u.Host,
	}
	def := address.DefaultOptions()
	p.standard = w.Options.PingMethod == def.PingMethod && w.Options.PingURI == def.PingURI
	p.request = w.pingRequest(w.Options.PingMethod, w.Options.PingURI, u)
	if hc := w.activeCheck(); hc != nil && w.uncheckable(hc, u) == nil {
		w.healthCheck(p, hc, u)
	}
	return p
}

// pingRequest is a request as it goes on the wire.
func (w *Way) pingRequest(method, uri string, u address.URI) *http.Request {
	host := net.JoinHostPort(u.Host, u.Port)
	if u.Scheme == address.SchemeUnix {
		host = "localhost"
	}
	target := &url.URL{Scheme: "http", Host: host}
	if w.Scheme() == address.SchemeHTTPS {
		target.Scheme = "https"
	}
	if uri == "*" {
		target.Opaque = "*"
	} else if parsed, err := url.ParseRequestURI(uri); err == nil {
		target.Path, target.RawPath, target.RawQuery = parsed.Path, parsed.RawPath, parsed.RawQuery
	}
	r := &http.Request{
		Method: method, URL: target, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"caddy-broker"}},
	}
	if h := w.Handler.Headers; h != nil && h.Request != nil {
		if v := h.Request.Set.Get("Host"); v != "" && !strings.Contains(v, "{") {
			r.Host = v
		}
	}
	return r
}

// healthCheck makes the ping what Caddy's active health check sends and expects.
func (w *Way) healthCheck(p *pingSpec, a *reverseproxy.ActiveHealthChecks, u address.URI) {
	p.standard, p.check = false, true
	p.timeout = cmp.Or(time.Duration(a.Timeout), pingTimeout)
	p.status, p.size = a.ExpectStatus, cmp.Or(a.MaxSize, maxPingAnswer)
	if a.ExpectBody != "" {
		p.body, _ = regexp.Compile(a.ExpectBody) // the handler refuses a bad one
	}
	p.request = w.pingRequest(cmp.Or(a.Method, http.MethodGet), cmp.Or(a.URI, a.Path, "/"), u) //nolint:staticcheck // deprecated, but users have it
	switch {
	case a.Upstream != "":
		at := &reverseproxy.Upstream{Dial: a.Upstream}
		u, _ := policyconfig.UpstreamURI(at, u.Scheme) // it is known to be one
		p.dial = dialInfoOf(at, u)
		p.request.Host, p.host = a.Upstream, p.dial.Host
	case a.Port != 0:
		p.dial.Network, p.dial.Port = "tcp", strconv.Itoa(a.Port)
		p.dial.Address = net.JoinHostPort(p.dial.Host, p.dial.Port)
		p.request.Host = p.dial.Address
	}
	repl := caddy.NewReplacer()
	repl.Set("http.reverse_proxy.active.target_upstream", u.Dial())
	for name, values := range a.Headers {
		name = http.CanonicalHeaderKey(repl.ReplaceAll(name, ""))
		for _, v := range values {
			if name == "Host" {
				p.request.Host = repl.ReplaceAll(v, "")
			} else {
				p.request.Header.Add(name, repl.ReplaceKnown(v, ""))
			}
		}
	}
	if a.Body != "" {
		body := repl.ReplaceKnown(a.Body, "")
		p.request.Body, p.request.ContentLength = http.NoBody, int64(len(body))
		if len(body) > 0 {
			p.request.Body = readCloser{strings.NewReader(body)}
		}
	}
}

// readCloser is a reader that needs no closing.
type readCloser struct{ *strings.Reader }

// Close does nothing.
func (readCloser) Close() error { return nil }

// dialInfoOf is what Caddy's transport needs to dial an upstream.
func dialInfoOf(up *reverseproxy.Upstream, u address.URI) reverseproxy.DialInfo {
	if u.Scheme == address.SchemeUnix {
		return reverseproxy.DialInfo{Upstream: up, Network: "unix", Address: u.Host, Host: u.Host}
	}
	host, port := u.Host, u.Port
	if host == "" {
		host, port, _ = net.SplitHostPort(up.Dial)
	}
	return reverseproxy.DialInfo{
		Upstream: up, Network: "tcp", Address: net.JoinHostPort(host, port), Host: host, Port: port,
	}
}

// Open opens a connection to a member as requests do, TLS included, with the question
// to ask on it.
func (w *Way) Open(ctx context.Context, m *failover.Member, path string) (*sources.Line, error) {
	b := w.Backend(m)
	p := &pingSpec{dial: dialInfoOf(b.Upstream, m.URI), host: m.URI.Host}
	p.request = w.pingRequest(http.MethodGet, path, m.URI)
	nc, err := w.open(ctx, b, p)
	if err != nil {
		return nil, err
	}
	return &sources.Line{Conn: nc, HTTP2: w.speaks(nc) == protoHTTP2, Request: p.request}, nil
}

// open opens a connection to b as the transport would, TLS included, unless the name
// to ask for there depends on the request.
func (w *Way) open(ctx context.Context, b *Backend, p *pingSpec) (net.Conn, error) {
	ctx = context.WithValue(ctx, pingKey{}, b)
	ctx = context.WithValue(ctx, assumed.DialInfoKey, p.dial)
	nc, err := w.http.DialContext(ctx, "tcp", p.dial.Address)
	if err != nil {
		return nil, err
	}
	if c := connOf(nc); c != nil {
		defer c.Take(false, nil)
	}
	if !w.secures(p.dial.Port) || w.nameless {
		return nc, nil
	}
	cfg := w.http.TLSClientConfig.Clone()
	cfg.ServerName = cmp.Or(caddy.NewReplacer().ReplaceAll(cfg.ServerName, ""), p.host)
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("shaking hands: %w", err)
	}
	return tc, nil
}

// speaks is the protocol on a connection that open returned.
func (w *Way) speaks(nc net.Conn) uint32 {
	if tc, ok := nc.(*tls.Conn); ok {
		if tc.ConnectionState().NegotiatedProtocol == "h2" {
			return protoHTTP2
		}
		return protoHTTP1
	}
	if w.h2c {
		return protoHTTP2
	}
	return protoHTTP1
}
