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
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// load posts a configuration, which must be refused.
func (s *staged) load(t *testing.T, kind, config string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.AdminAddr()+"/load", strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode < 400 {
		t.Errorf("loading %s: %s", config, res.Status)
	}
}

var configIncidents = []incident{
	{
		name:  "config mistake found by the parent",
		stage: func(t *testing.T, s *staged) { s.load(t, "application/json", `{"apps": {"broker": {"nonsense": 1}}}`) },
		lines: []wantedLine{
			{"broker_reload_failed", "warn", []string{"what served before serves on", "nonsense"}},
		},
		metric: wantedMetric{"caddy_broker_child_up", nil, 1},
		status: []string{"active"},
	},
	{
		name: "config mistake found by the child",
		stage: func(t *testing.T, s *staged) {
			sites, err := os.ReadFile(filepath.Join(s.Dir, "Caddyfile"))
			if err != nil {
				t.Fatal(err)
			}
			s.load(t, "text/caddyfile", string(sites)+"\nhttps://127.0.0.1:0 {\n\ttls nonsense.pem nonsense.key\n}\n")
		},
		lines: []wantedLine{
			{"broker_child_exited", "warn", []string{"replacement of child default ended before it was ready", "what serves is not touched"}},
			{"broker_reload_failed", "warn", []string{"nonsense"}},
		},
		metric: wantedMetric{"caddy_broker_child_exits_total", []string{`reason="start_failure"`}, 1},
		status: []string{"active"},
	},
	{
		name:  "log disk full",
		extra: "http://{$B3} {\n\tlog {\n\t\toutput file /dev/full {\n\t\t\troll_disabled\n\t\t}\n\t}\n\trespond serving\n}",
		stage: func(t *testing.T, s *staged) {
			for range 50 {
				get(t, s.third)
			}
		},
		lines: []wantedLine{
			{"a log of the child cannot be written: its lines are lost; the service goes on; make room, or write it elsewhere", "warn", []string{"no space left on device"}},
		},
		metric: wantedMetric{"caddy_broker_child_up", nil, 1},
		status: []string{"active"},
	},
}

// expiredBackend is a site whose only backend has a certificate that has expired.
func expiredBackend(t *testing.T) (extra string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fmt.Sprintf("http://{$B3} {\n\treverse_proxy %s {\n\t\tlb_policy failover {\n\t\t\tpool tls\n\t\t}\n\t\ttransport http {\n\t\t\ttls_trust_pool file %s\n\t\t}\n\t}\n}",
		server.URL, ca)
}
