// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// requestContext is the context of a request in progress. It has at hand what handlers ask
// for again and again: each time they would come by a dozen contexts of the request, its
// connection and its server.
type requestContext struct {
	context.Context
	replacer, vars, server any
}

func remember(ctx context.Context) requestContext {
	return requestContext{ctx, ctx.Value(caddy.ReplacerCtxKey), ctx.Value(caddyhttp.VarsCtxKey), ctx.Value(http.ServerContextKey)}
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
