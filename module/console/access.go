// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"
)

// userOf is the user that a handler of Caddy's has authenticated; empty if there is none.
func userOf(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	user, _ := repl.GetString("http.auth.user.id")
	return user
}

// forwarding are the fields by which a server in front says that a request is another's:
// it may well be on this machine, and its clients are elsewhere.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// known reports whether a client has a certificate, or is on this machine. A page of
// another site cannot make a browser pass for that by a name of its own that leads here.
func known(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	if slices.ContainsFunc(forwarding, func(field string) bool { return r.Header.Get(field) != "" }) {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return local(strings.Trim(host, "[]"))
}

// local reports whether a name is always that of this machine.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// warn says that a console can be seen from this machine alone, where its server is open
// to others.
func (s *Site) warn(ctx caddy.Context) {
	if s.AuthenticatedBefore {
		return
	}
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return
	}
	sites, ok := app.(*caddyhttp.App)
	if !ok {
		return
	}
	for name, server := range sites.Servers {
		found, authenticated := search(server.Routes, s)
		if found && !authenticated && !asksForCertificates(server) && slices.ContainsFunc(server.Listen, open) {
			s.logger.Warn("the console has nothing in front of it that authenticates, so it is shown to this machine alone: put basic_auth, or another authentication, before it",
				zap.String("server", name), zap.Strings("listen", server.Listen))
		}
	}
}

// search looks for s in a list of routes, and for an authentication before it. Matchers
// are not looked at: each request is.
func search(routes caddyhttp.RouteList, s *Site) (found, authenticated bool) {
	for _, route := range routes {
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *Site:
				if h == s {
					return true, authenticated
				}
			case *caddyauth.Authentication:
				authenticated = true
			case *caddyhttp.Subroute:
				inside, before := search(h.Routes, s)
				authenticated = authenticated || before
				if inside {
					return true, authenticated
				}
			}
		}
	}
	return false, authenticated
}

// asksForCertificates reports whether a server verifies certificates of clients.
func asksForCertificates(server *caddyhttp.Server) bool {
	return slices.ContainsFunc(server.TLSConnPolicies, func(p *caddytls.ConnectionPolicy) bool { return p.ClientAuthentication != nil })
}

// open reports whether other machines can reach an address.
func open(listen string) bool {
	a, err := caddy.ParseNetworkAddress(listen)
	return err != nil || !a.IsUnixNetwork() && !local(a.Host)
}
