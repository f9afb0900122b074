// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"net/http"
)

func init() {
	caddy.RegisterModule(Failover{})
}

// Failover is a selection policy that applies message-broker failover semantics
// to the backends of a reverse_proxy.
type Failover struct{}

// CaddyModule returns the Caddy module information.
func (Failover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.selection_policies.failover",
		New: func() caddy.Module { return new(Failover) },
	}
}

// Select chooses the backend of a request's next attempt.
func (f *Failover) Select(pool reverseproxy.UpstreamPool, _ *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	return nil
}

// Interface guards
var _ reverseproxy.Selector = (*Failover)(nil)
