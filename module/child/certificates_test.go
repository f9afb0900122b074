// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// Only what Caddy manages is waited for: a certificate that merely lies in
// storage must not hold up a start.
func TestServedNames(t *testing.T) {
	t.Parallel()
	server := func(host string, tls bool, auto *caddyhttp.AutoHTTPSConfig) *caddyhttp.Server {
		srv := &caddyhttp.Server{AutoHTTPS: auto, Routes: caddyhttp.RouteList{{
			MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{host}}},
		}}}
		if tls {
			srv.TLSConnPolicies = caddytls.ConnectionPolicies{new(caddytls.ConnectionPolicy)}
		}
		return srv
	}
	got := servedNames(map[string]*caddyhttp.Server{
		"tls":      server("tls.example.com", true, nil),
		"plain":    server("plain.example.com", false, nil),
		"off":      server("off.example.com", true, &caddyhttp.AutoHTTPSConfig{Disabled: true}),
		"no certs": server("nocerts.example.com", true, &caddyhttp.AutoHTTPSConfig{DisableCerts: true}),
		"skipped":  server("skipped.example.com", true, &caddyhttp.AutoHTTPSConfig{SkipCerts: []string{"skipped.example.com"}}),
	})
	if want := []string{"tls.example.com"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = automate([]byte(`{"apps":{"tls":{"certificates":{"automate":["named.example.com"]}}}}`))
	if want := []string{"named.example.com"}; !slices.Equal(got, want) {
		t.Errorf("automated are %v, want %v", got, want)
	}
}

// The first policy that has a name decides whether loading a configuration loads
// its certificate.
func TestLoadedAtStart(t *testing.T) {
	t.Parallel()
	deferred := func(subjects ...string) policy { return policy{subjects: subjects, deferred: true} }
	loads := func(subjects ...string) policy { return policy{subjects: subjects} }
	for name, test := range map[string]struct {
		automated, served []string
		policies          []policy
		want              []string
	}{
		"no policy":               {served: []string{"b.test", "a.test"}, want: []string{"a.test", "b.test"}},
		"deferred":                {served: []string{"a.test", "b.test"}, policies: []policy{deferred("a.test")}, want: []string{"b.test"}},
		"all deferred":            {served: []string{"a.test", "b.test"}, policies: []policy{deferred()}},
		"deferred by a wildcard":  {served: []string{"a.test", "x.b.test"}, policies: []policy{deferred("*.b.test")}, want: []string{"a.test"}},
		"the first of two counts": {served: []string{"a.test"}, policies: []policy{loads("a.test"), deferred()}, want: []string{"a.test"}},
		"and also defers":         {served: []string{"a.test"}, policies: []policy{deferred("a.test"), loads()}},
		"in any case":             {served: []string{"A.Test"}, policies: []policy{deferred("a.test")}},
		"a wildcard covers it":    {served: []string{"x.b.test", "*.b.test"}, want: []string{"*.b.test"}},
		"a deferred one as well":  {served: []string{"x.b.test", "*.b.test"}, policies: []policy{deferred("*.b.test")}},
		"unless automated":        {automated: []string{"x.b.test"}, served: []string{"x.b.test", "*.b.test"}, want: []string{"*.b.test", "x.b.test"}},
		"automated and deferred":  {automated: []string{"a.test"}, policies: []policy{deferred()}},
	} {
		if got := loadedAtStart(test.automated, test.served, test.policies); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// A name whose certificate comes at its first handshake, and one whose stored
// certificate is of another issuer, are not waited for; the others are.
func TestAwaitCertificates(t *testing.T) {
	config := func(dir, deferred string) string {
		return fmt.Sprintf(`{"admin": {"disabled": true, "config": {"persist": false}}, "logging": {"logs": {"default": {"level": "ERROR"}}},
			"storage": {"module": "file_system", "root": %q},
			"apps": {
				"http": {"http_port": 0, "https_port": 1, "servers": {"s": {"listen": ["127.0.0.1:0"], "tls_connection_policies": [{}],
					"automatic_https": {"disable_redirects": true},
					"routes": [{"match": [{"host": ["plain.test", "shop.test"]}], "handle": [{"handler": "static_response"}]}]}}},
				"pki": {"certificate_authorities": {"local": {"install_trust": false}}},
				"tls": {"automation": {"policies": [%s{"issuers": [{"module": "internal"}]}]}}
			}}`, dir, deferred)
	}
	dir, before := t.TempDir(), goleak.IgnoreCurrent()
	keepsLock := goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh") // sleeps, and ends
	defer func() {
		_ = caddy.Stop()
		testwait.Until(t, "nothing writes to the storage any more", func() bool { return goleak.Find(before, keepsLock) == nil })
	}()
	load := func(deferred string) *caddytls.TLS {
		t.Helper()
		if err := caddy.Load([]byte(config(dir, deferred)), true); err != nil {
			t.Fatal(err)
		}
		app, err := caddy.ActiveContext().AppIfConfigured("tls")
		if err != nil {
			t.Fatal(err)
		}
		return app.(*caddytls.TLS)
	}

	app := load("")
	for name := range strings.SplitSeq("plain.test shop.test", " ") {
		testwait.Until(t, "the certificate of "+name, func() bool { return app.HasCertificateForSubject(name) })
	}
	if missing := awaitCertificates([]byte(config(dir, "")), stored); len(missing) > 0 {
		t.Errorf("waited in vain for %v", missing)
	}
	for what, policy := range map[string]string{
		"on demand":      `{"subjects": ["shop.test"], "issuers": [{"module": "internal"}], "on_demand": true},`,
		"another issuer": `{"subjects": ["shop.test"], "issuers": [{"module": "acme", "ca": "https://127.0.0.1:9/directory"}]},`,
	} {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		app = load(policy)
		if missing := awaitCertificates([]byte(config(dir, policy)), stored); len(missing) > 0 {
			t.Errorf("%s: waited in vain for %v", what, missing)
		}
		if !app.HasCertificateForSubject("plain.test") {
			t.Errorf("%s: did not wait for what loading loads", what)
		}
	}
}
