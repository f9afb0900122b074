// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/announce"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("broker_uris", parseURIs)
	httpcaddyfile.RegisterDirectiveOrder("broker_uris", httpcaddyfile.Before, "respond")
}

// parseURIs parses the directive that tells clients where this balancer and its
// peers are. Syntax:
//
//	broker_uris [<matcher>] [<address...>]
//
// It answers requests for /.well-known/broker-uris alone. Without addresses it
// tells those that the network of the global option broker advertises.
func parseURIs(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the name of the directive
	handler := &announce.URIs{Addresses: h.RemainingArgs()}
	if h.NextBlock(0) {
		return nil, h.Errf("unrecognized subdirective %q: broker_uris has none", h.Val())
	}
	return handler, nil
}
