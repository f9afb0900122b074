// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// dialTLS dials and shakes hands as Caddy's transport does where the server's
// name depends on the request or the PROXY protocol comes first.
func (w *Way) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	var vars map[string]any
	if of := errandOf(ctx); of != nil {
		vars = of.dialVars()
	}
	h1Only, _ := vars[assumed.HTTP1OnlyVar].(bool)
	b, e, late := w.dialedFor(ctx, addr)
	if !late && b != nil && e != nil && !e.Fresh {
		if nc := b.takeWarm(); nc != nil {
			return nc, nil
		}
	}
	nc, err := w.http.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := w.http.TLSClientConfig.Clone()
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); e != nil && w.nameless {
		cfg.ServerName, _ = vars[serverNameVar].(string)
	} else if ok {
		cfg.ServerName = repl.ReplaceAll(cfg.ServerName, "")
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
		if di, ok := reverseproxy.GetDialInfo(ctx); ok && w.base.ProxyProtocol != "" {
			cfg.ServerName = di.Host // addr has the client in it
		}
	}
	if h1Only {
		cfg.NextProtos = nil
	}
	if d := w.http.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, fault.ErrConnectionTimeout)
		defer cancel()
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = tc.Close()
		return nil, handshakeError{err}
	}
	return tc, nil
}

// handshakeError is why there was no TLS on a connection that there was.
type handshakeError struct{ error }

func (e handshakeError) Unwrap() error { return e.error }

// InHandshake reports whether a dial failed when the backend had taken the connection.
func InHandshake(err error) bool {
	var h handshakeError
	return errors.As(err, &h)
}
