// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// remoteSite lets one client change the routes of one server from afar.
const remoteSite = `{
	"admin": {
		"listen": "{ADMIN}",
		"identity": {"identifiers": ["localhost"], "issuers": [{"module": "internal"}]},
		"remote": {"listen": "127.0.0.1:{REMOTE}", "access_control": [{
			"public_keys": ["{KEY}"],
			"permissions": [{"paths": ["/config/apps/http/servers/s/routes", "/id/"], "methods": ["GET", "PATCH"]}]
		}]}
	},
	"apps": {
		"broker": {},
		"pki": {"certificate_authorities": {"local": {"install_trust": false}}},
		"http": {"servers": {
			"s": {"listen": [":{PORT}"], "routes": [{"@id": "inside", "handle": [{"handler": "static_response", "body": "before"}]}]},
			"t": {"@id": "outside", "listen": [":{OTHER}"]}
		}}
	}
}`

// clientCertificate is one that only it itself has signed.
func clientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestRemoteEndpoint: who may change a part of the configuration from afar changes that
// part, by whatever name, and sees and changes nothing else.
func TestRemoteEndpoint(t *testing.T) {
	cert := clientCertificate(t)
	port, remote := freePort(t), freePort(t)
	b := newBroker(t, "")
	file := filepath.Join(b.Dir, "caddy.json")
	text := strings.NewReplacer("{ADMIN}", b.AdminAddr(), "{REMOTE}", remote, "{PORT}", port, "{OTHER}", freePort(t),
		"{KEY}", base64.StdEncoding.EncodeToString(cert.Certificate[0])).Replace(remoteSite)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Args = []string{"run", "--config", file}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	client := &harness.Client{
		Addr: "127.0.0.1:" + remote, Host: "localhost:" + remote,
		TLS: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}, //nolint:gosec // the broker makes its certificate itself
	}
	awaitTLS(t, client.Addr)
	const routes = "/config/apps/http/servers/s/routes"
	for _, c := range []struct {
		call
		status int
		site   string
	}{
		{call{Method: "GET", Path: routes}, 200, "before"},
		{call{Method: "PATCH", Path: routes + "/0/handle/0/body", Body: `"by path"`}, 200, "by path"},
		{call{Method: "PATCH", Path: "/id/inside/handle/0/body", Body: `"by id"`}, 200, "by id"},
		{call{Method: "DELETE", Path: "/id/inside"}, 403, "by id"},
		{call{Method: "GET", Path: "/id/outside"}, 403, "by id"},
		{call{Method: "PATCH", Path: "/id/outside/listen", Body: `[":1"]`}, 403, "by id"},
		{call{Method: "GET", Path: "/config/"}, 403, "by id"},
		{call{Method: "GET", Path: "/config/apps%2Fhttp%2Fservers%2Ft"}, 403, "by id"},
		{call{Method: "POST", Path: "/load", Body: "{}"}, 403, "by id"},
		{call{Method: "GET", Path: "/broker/"}, 403, "by id"},
		{call{Method: "POST", Path: "/broker/children/default/stop"}, 403, "by id"},
		{call{Method: "GET", Path: "/reverse_proxy/upstreams"}, 403, "by id"},
		{call{Method: "GET", Path: "/debug/pprof/cmdline"}, 403, "by id"},
	} {
		header := http.Header{"Content-Type": {"application/json"}}
		res := client.Do(t.Context(), c.String(), time.Now(), harness.Request{Method: c.Method, Path: c.Path, Header: header, Body: []byte(c.Body)})
		if res.Status != c.status {
			t.Errorf("%s: %d %s (%v), want %d", c.call, res.Status, res.Body, res.Err, c.status)
		}
		if says := get(t, "127.0.0.1:"+port).Body; says != c.site {
			t.Errorf("%s: the site answers %q, want %q", c.call, says, c.site)
		}
	}
}
