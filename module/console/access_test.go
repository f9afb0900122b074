// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestKnown(t *testing.T) {
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}
	for name, c := range map[string]struct {
		from, host string
		tls        *tls.ConnectionState
		field      string
		want       bool
	}{
		"this machine":            {"127.0.0.1:1", "localhost:8080", nil, "", true},
		"by IPv6":                 {"[::1]:1", "[::1]:8080", nil, "", true},
		"a name below localhost":  {"127.0.0.1:1", "status.localhost", nil, "", true},
		"another name":            {"127.0.0.1:1", "evil.test:8080", nil, "", false},
		"another machine":         {"192.0.2.1:1", "localhost:8080", nil, "", false},
		"by way of a proxy":       {"127.0.0.1:1", "localhost:8080", nil, "X-Forwarded-For", false},
		"by way of another proxy": {"127.0.0.1:1", "localhost:8080", nil, "Forwarded", false},
		"a unix socket":           {"@", "localhost", nil, "", false},
		"a certificate":           {"192.0.2.1:1", "example.com", verified, "", true},
		"no certificate":          {"192.0.2.1:1", "example.com", new(tls.ConnectionState), "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host, r.TLS = c.from, c.host, c.tls
		if c.field != "" {
			r.Header.Set(c.field, "192.0.2.1")
		}
		if got := known(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
