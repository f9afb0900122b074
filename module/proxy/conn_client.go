// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// clientConnKey is the key of the client's connection in a request's context.
type clientConnKey struct{}

// rememberClients makes the server of ctx keep every client's connection in the
// context of its requests, so that one can be asked whether its client is still
// there. It is harmless to do so more than once.
func rememberClients(ctx caddy.Context) {
	srv, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	srv.RegisterConnContext(func(ctx context.Context, c net.Conn) context.Context {
		if ctx.Value(clientConnKey{}) != nil {
			return ctx
		}
		return context.WithValue(ctx, clientConnKey{}, c)
	})
}

// clientPresent reports whether the client of an HTTP/1 request with an unread
// body is still there. net/http does not look while it does not read; for all
// other requests the context tells.
func clientPresent(r *http.Request) bool {
	nc, ok := r.Context().Value(clientConnKey{}).(net.Conn)
	if !ok {
		return true
	}
	raw := socket.Raw(nc)
	return raw == nil || socket.PeerPresent(raw)
}
