// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
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
	for _, name := range subjects(config) {
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

// subjects are the names that config may manage certificates for: the hosts its
// routes match, and those it names to be automated.
func subjects(config []byte) []string {
	var cfg struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes json.RawMessage `json:"routes"`
				} `json:"servers"`
			} `json:"http"`
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
	seen := make(map[string]bool)
	for _, name := range cfg.Apps.TLS.Certificates.Automate {
		seen[name] = true
	}
	for _, srv := range cfg.Apps.HTTP.Servers {
		var routes any
		if json.Unmarshal(srv.Routes, &routes) == nil {
			collectHosts(routes, seen)
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	return names
}

// collectHosts finds every "host" matcher in a tree of routes.
func collectHosts(v any, into map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collectHosts(e, into)
		}
	case map[string]any:
		for key, e := range v {
			if hosts, ok := e.([]any); ok && key == "host" {
				for _, h := range hosts {
					if name, ok := h.(string); ok {
						into[strings.ToLower(name)] = true
					}
				}
				continue
			}
			collectHosts(e, into)
		}
	}
}
