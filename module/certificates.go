// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"encoding/json"
	"maps"
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

// awaitCertificates returns when every name of config whose certificate lies in
// storage has it in memory: Caddy loads them after its servers have started, and
// a child activated earlier would fail handshakes. Names without a stored
// certificate are not waited for; they may need an authority that is far away.
func awaitCertificates(config []byte) {
	app, err := caddy.ActiveContext().AppIfConfigured("tls")
	if err != nil {
		return
	}
	tlsApp, ok := app.(*caddytls.TLS)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), certificatesWait)
	defer cancel()
	storage := caddy.ActiveContext().Storage()
	issuers, err := storage.List(ctx, certmagic.StorageKeys.CertsPrefix(""), false)
	if err != nil || len(issuers) == 0 {
		return
	}
	var missing []string
	for _, name := range subjects(config, runningServers()) {
		if stored(ctx, storage, issuers, name) {
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
			return
		case <-tick.C:
		}
	}
}

func stored(ctx context.Context, storage certmagic.Storage, issuers []string, name string) bool {
	for _, i := range issuers {
		issuer := i[strings.LastIndexByte(i, '/')+1:]
		if storage.Exists(ctx, certmagic.StorageKeys.SiteCert(issuer, name)) {
			return true
		}
	}
	return false
}

// subjects are the names that the running servers, and config, have certificates
// managed for. As Caddy itself does, it looks at the hosts of top-level routes.
func subjects(config []byte, servers map[string]*caddyhttp.Server) []string {
	var cfg struct {
		Apps struct {
			TLS struct {
				Certificates struct {
					Automate []string `json:"automate"`
				} `json:"certificates"`
			} `json:"tls"`
		} `json:"apps"`
	}
	seen := make(map[string]bool)
	if json.Unmarshal(config, &cfg) == nil {
		for _, name := range cfg.Apps.TLS.Certificates.Automate {
			seen[name] = true
		}
	}
	for _, srv := range servers {
		auto := srv.AutoHTTPS
		if len(srv.TLSConnPolicies) == 0 || auto != nil && (auto.Disabled || auto.DisableCerts) {
			continue
		}
		for _, name := range hosts(srv) {
			if auto == nil || !slices.Contains(auto.Skip, name) && !slices.Contains(auto.SkipCerts, name) {
				seen[name] = true
			}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// hosts are the names that a server's top-level routes match.
func hosts(srv *caddyhttp.Server) []string {
	var names []string
	for _, route := range srv.Routes {
		for _, set := range route.MatcherSets {
			for _, m := range set {
				if host, ok := m.(*caddyhttp.MatchHost); ok {
					names = append(names, *host...)
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
