// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/console"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("broker_console", parseConsole)
	httpcaddyfile.RegisterDirectiveOrder("broker_console", httpcaddyfile.Before, "respond")
}

// parseConsole parses the directive that shows the console on a site. Syntax:
//
//	broker_console [<matcher>] {
//	    read_only
//	    authenticated_before
//	}
//
// It answers every request that comes to it: to this machine, and to who is
// authenticated. With read_only it has no operations; authenticated_before says that
// something else in front lets no request pass without authentication.
func parseConsole(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the name of the directive
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	handler := new(console.Site)
	for h.NextBlock(0) {
		option := h.Val()
		var given *bool
		switch option {
		case "read_only":
			given = &handler.ReadOnly
		case "authenticated_before":
			given = &handler.AuthenticatedBefore
		default:
			return nil, h.Errf("unknown option %q of broker_console: allowed are read_only, authenticated_before", option)
		}
		if h.NextArg() {
			return nil, h.Errf("option %s: it has a value; expecting none", option)
		}
		if *given {
			return nil, h.Errf("option %s is already given: remove one", option)
		}
		*given = true
	}
	return handler, nil
}
