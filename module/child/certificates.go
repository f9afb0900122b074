// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"
)

const (
	// certificatesWait bounds how long readiness waits for stored certificates.
	certificatesWait = 5 * time.Second
	certificatesPoll = 2 * time.Millisecond
)

// awaitCertificates returns when every name of config whose certificate loading
// takes from storage has it in memory, or with the names that it waited for in
// vain: Caddy loads them after its servers have started, and a child activated
// earlier would fail handshakes. Names without a stored certificate are not waited
// for; they may need an authority that is far away. What stored means is up to has.
func awaitCertificates(config []byte, has func(ctx context.Context, storage certmagic.Storage, issuers []string, name string) bool) (missing []string) {
	app, err := caddy.ActiveContext().AppIfConfigured("tls")
	if err != nil {
		return nil
	}
	tlsApp, ok := app.(*caddytls.TLS)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), certificatesWait)
	defer cancel()
	storage := caddy.ActiveContext().Storage()
	dirs, err := storage.List(ctx, certmagic.StorageKeys.CertsPrefix(""), false)
	if err != nil || len(dirs) == 0 {
		return nil
	}
	known := make([]string, len(dirs))
	for i, dir := range dirs {
		known[i] = dir[strings.LastIndexByte(dir, '/')+1:]
	}
	automated := automate(config)
	policies := policiesOf(tlsApp)
	for _, name := range loadedAtStart(automated, servedNames(runningServers()), policies) {
		issuers := policyFor(policies, name).issuers
		if len(issuers) == 0 {
			issuers = known
		}
		if has(ctx, storage, issuers, name) {
			missing = append(missing, name)
		}
	}
	tick := time.NewTicker(certificatesPoll)
	defer tick.Stop()
	for len(missing) > 0 {
		if tlsApp.HasCertificateForSubject(missing[0]) {
			missing = missing[1:]
			continue
		}
		select {
		case <-ctx.Done():
			return missing
		case <-tick.C:
		}
	}
	return nil
}

// stored reports whether name has all that makes a certificate usable, from one of
// the issuers.
func stored(ctx context.Context, storage certmagic.Storage, issuers []string, name string) bool {
	keys := certmagic.StorageKeys
	for _, issuer := range issuers {
		if storage.Exists(ctx, keys.SiteCert(issuer, name)) && storage.Exists(ctx, keys.SitePrivateKey(issuer, name)) &&
			storage.Exists(ctx, keys.SiteMeta(issuer, name)) {
			return true
		}
	}
	return false
}

// hasKey reports whether name has a private key from one of the issuers, which came there
// with a certificate.
func hasKey(ctx context.Context, storage certmagic.Storage, issuers []string, name string) bool {
	return slices.ContainsFunc(issuers, func(issuer string) bool {
		return storage.Exists(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, name))
	})
}

// policy is what decides how the certificates of its subjects come into memory.
type policy struct {
	subjects []string // none is all
	deferred bool     // at the first handshake, or from somewhere else
	issuers  []string // none: not known
}

// policiesOf are the app's, in the order in which they are looked through; the
// HTTP app has added those that it needs.
func policiesOf(app *caddytls.TLS) []policy {
	if app.Automation == nil {
		return nil
	}
	policies := make([]policy, 0, len(app.Automation.Policies))
	for _, ap := range app.Automation.Policies {
		p := policy{subjects: ap.Subjects(), deferred: ap.OnDemand || len(ap.Managers) > 0}
		for _, issuer := range ap.Issuers {
			p.issuers = append(p.issuers, issuer.IssuerKey())
		}
		policies = append(policies, p)
	}
	return policies
}

// policyFor is the first that has name among its subjects, as Caddy chooses it.
func policyFor(policies []policy, name string) policy {
	for _, p := range policies {
		if len(p.subjects) == 0 || slices.ContainsFunc(p.subjects, func(s string) bool { return certmagic.MatchWildcard(name, s) }) {
			return p
		}
	}
	return policy{}
}

// loadedAtStart are the names whose certificates loading a configuration brings
// into memory: of those that are automated or served, not those whose policy
// defers it, and not those that a wildcard among them covers, unless they are
// automated by name.
func loadedAtStart(automated, served []string, policies []policy) []string {
	names := make(map[string]bool)
	for _, name := range slices.Concat(automated, served) {
		names[strings.ToLower(name)] = true
	}
	var loaded []string
	for name := range names {
		byName := slices.ContainsFunc(automated, func(a string) bool { return strings.EqualFold(a, name) })
		if !policyFor(policies, name).deferred && (byName || !covered(names, name)) {
			loaded = append(loaded, name)
		}
	}
	slices.Sort(loaded)
	return loaded
}

// covered reports whether a wildcard in names stands for name too.
func covered(names map[string]bool, name string) bool {
	labels := strings.Split(name, ".")
	for i := range labels {
		if labels[i] == "*" {
			continue
		}
		labels[i] = "*"
		if names[strings.Join(labels, ".")] {
			return true
		}
	}
	return false
}

// automate are the names that config itself wants certificates for.
func automate(config []byte) []string {
	var cfg struct {
		Apps struct {
			TLS struct {
				Certificates struct {
					Automate []string `json:"automate"`
				} `json:"certificates"`
			} `json:"tls"`
		} `json:"apps"`
	}
	if json.Unmarshal(config, &cfg) != nil {
		return nil
	}
	names := cfg.Apps.TLS.Certificates.Automate
	repl := caddy.NewReplacer()
	for i := range names {
		names[i] = repl.ReplaceAll(names[i], "")
	}
	return names
}

// servedNames are the names that the running servers have certificates managed for. As
// Caddy itself does, it looks at the hosts of top-level routes.
func servedNames(servers map[string]*caddyhttp.Server) []string {
	var names []string
	for _, srv := range servers {
		auto := srv.AutoHTTPS
		if len(srv.TLSConnPolicies) == 0 || auto != nil && (auto.Disabled || auto.DisableCerts) {
			continue
		}
		for _, name := range hosts(srv) {
			if auto == nil || !slices.Contains(auto.Skip, name) && !slices.Contains(auto.SkipCerts, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// hosts are the names that a server's top-level routes match.
func hosts(srv *caddyhttp.Server) []string {
	var names []string
	repl := caddy.NewReplacer()
	for _, route := range srv.Routes {
		for _, set := range route.MatcherSets {
			for _, m := range set {
				if host, ok := m.(*caddyhttp.MatchHost); ok {
					for _, name := range *host {
						names = append(names, repl.ReplaceKnown(name, ""))
					}
				}
			}
		}
	}
	return names
}

// runningServers are those of the HTTP app.
func runningServers() map[string]*caddyhttp.Server {
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil
	}
	if servers, ok := app.(*caddyhttp.App); ok {
		return servers.Servers
	}
	return nil
}
