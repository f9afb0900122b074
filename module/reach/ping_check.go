// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"errors"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// activeCheck is the active health check of the handler, nil for none.
func (w *Way) activeCheck() *reverseproxy.ActiveHealthChecks {
	if hc := w.Handler.HealthChecks; hc != nil && hc.Active != nil && hc.Active.IsEnabled() {
		return hc.Active
	}
	return nil
}

// uncheckable is why a health check cannot be made of a backend, nil if it can. Then
// it says nothing about the backend, and the plain ping stands for it.
func (w *Way) uncheckable(a *reverseproxy.ActiveHealthChecks, u address.URI) error {
	switch {
	case !w.SpeaksHTTP():
		return errors.New("active health checks need the transport http")
	case a.Upstream != "":
		_, err := policyconfig.UpstreamURI(&reverseproxy.Upstream{Dial: a.Upstream}, u.Scheme)
		return err
	case a.Port != 0 && u.Scheme == address.SchemeUnix:
		return errors.New("health_port cannot be another port of a unix socket: use health_upstream")
	}
	return nil
}

// warn says, when the configuration is loaded, what the pool cannot do with it.
func (w *Way) warn() {
	if a := w.activeCheck(); a != nil {
		for _, u := range w.URIs {
			if err := w.uncheckable(a, u); err != nil {
				w.Logger.Warn("health check cannot be made: the ping takes its place", zap.String("upstream", u.Name()), zap.Error(err))
			}
		}
	}
	if w.nameless {
		w.Logger.Warn("pings cannot shake hands, because the TLS server name depends on the request: they find out at most whether a backend accepts connections",
			zap.String("server_name", w.tlsName))
	}
	if w.Options.Backup && (!w.Owned() || w.personal()) {
		w.Logger.Warn("no warm connections are held: with this transport a connection belongs to one client, or is not the pool's to make")
	}
}
