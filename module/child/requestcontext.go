// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net"
	"net/http"
	goruntime "runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// requestContext is the context of a request in progress. It has at hand what handlers ask
// for again and again: each time they would come by a dozen contexts of the request, its
// connection and its server.
type requestContext struct {
	context.Context
	replacer, vars, server any
	half                   halfCloser // of the client's connection; nil where that does not end the context
}

// halfCloser is a connection that can end the reading of its own side. What serves HTTP/1
// ends the context of the request then, as if the client had gone, lets the answer be
// finished and closes the connection. This costs a request nothing, where a context of its
// own that can be ended costs one percent of its processor time.
type halfCloser interface{ CloseRead() error }

// remember is the context of r without one of its own that can be ended.
func remember(r *http.Request) requestContext {
	ctx := r.Context()
	c := requestContext{Context: ctx, replacer: ctx.Value(caddy.ReplacerCtxKey), vars: ctx.Value(caddyhttp.VarsCtxKey)}
	if client, ok := ctx.Value(clientKey{}).(*client); ok && r.ProtoMajor == 1 {
		c.server, c.half = client.server, client.half
		return c
	}
	c.server = ctx.Value(http.ServerContextKey)
	return c
}

// Value is that of the contexts below.
func (c *requestContext) Value(key any) any {
	switch key {
	case caddy.ReplacerCtxKey:
		return c.replacer
	case caddyhttp.VarsCtxKey:
		return c.vars
	case http.ServerContextKey:
		return c.server
	}
	return c.Context.Value(key)
}

// clientKey is the key of a client's connection in the contexts of its requests.
type clientKey struct{}

// client is a client's connection: its server, and how to end its reading, if it can be.
type client struct {
	server any
	half   halfCloser
}

// withClient keeps c in the context of its requests; a server may have several guards.
func withClient(ctx context.Context, c net.Conn) context.Context {
	if ctx.Value(clientKey{}) != nil {
		return ctx
	}
	return context.WithValue(ctx, clientKey{}, &client{ctx.Value(http.ServerContextKey), halfOf(c)})
}

// halfOf finds the connection of the system's below c. On Windows a read that waits there
// does not notice.
func halfOf(c net.Conn) halfCloser {
	if goruntime.GOOS == "windows" {
		return nil
	}
	for c != nil {
		if half, ok := c.(halfCloser); ok {
			return half
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = below.NetConn()
	}
	return nil
}
