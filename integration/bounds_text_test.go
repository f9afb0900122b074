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
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// shouting is a TLS server whose certificate is for names that a terminal would obey.
func shouting(t *testing.T) (addr string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"\x1b]0;title\x07", "\x1b[2J", "line\r\nfeed"}
	for range 50 {
		names = append(names, strings.Repeat("long", 50))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}

// unseen reports where a text has what cannot be seen, -1 if nowhere.
func unseen(text string) int {
	return strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// What a backend's certificate says is cut and cleaned before it reaches the operator.
func TestTextOfBackendsIsPlain(t *testing.T) {
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy https://{$B1} {
		transport http {
			tls_server_name site.example
		}
		lb_policy failover {
			timeout 1s
		}
	}
}
`, "PORT="+port, "B1="+shouting(t))
	client := &harness.Client{Addr: "127.0.0.1:" + port}
	if res := client.Do(t.Context(), "a", time.Now(), harness.Request{Method: "GET"}); res.Status < 500 {
		t.Fatalf("status %d", res.Status)
	}
	var pools []struct {
		Upstreams []struct {
			LastError string `json:"last_error"`
		} `json:"upstreams"`
	}
	if err := harness.Until(t.Context(), soon, func() error {
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/pools", &pools); err != nil {
			return err
		}
		if len(pools) != 1 || pools[0].Upstreams[0].LastError == "" {
			return fmt.Errorf("pools %+v", pools)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	said := pools[0].Upstreams[0].LastError
	if !strings.Contains(said, "certificate is valid for") || unseen(said) >= 0 || len(said) > 2000 {
		t.Errorf("last_error has %d bytes: %.200q", len(said), said)
	}
	shown, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr())
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || unseen(shown) >= 0 ||
		!strings.Contains(strings.Join(strings.Fields(shown), " "), "certificate is valid for") {
		t.Errorf("status shows %.500q (%v)", shown, err)
	}
	if at := unseen(strings.ReplaceAll(b.Process().Output(), "\t", " ")); at >= 0 {
		t.Errorf("the log has %q", b.Process().Output()[at:at+20])
	}
}

// The parent asks the process that serves, whatever else answers at the place of its
// socket.
func TestAnotherSocketInThePlaceOfTheChilds(t *testing.T) {
	port := freePort(t)
	b := startBroker(t, answersAlone, "PORT="+port, "B1=127.0.0.1:1")
	found, err := filepath.Glob(filepath.Join(b.Dir, "tmp", "caddy-broker-*", "*.sock"))
	if err != nil || len(found) != 1 {
		t.Fatalf("sockets %v (%v)", found, err)
	}
	other := filepath.Join(b.Dir, "other")
	ln, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 100)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		fmt.Fprint(w, `[{"name":"forged"}]`)
	})}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	for _, replace := range []func() error{
		func() error { return os.Symlink(other, found[0]) },
		func() error { return os.Link(other, found[0]) },
	} {
		if err := os.Remove(found[0]); err != nil {
			t.Fatal(err)
		}
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		var status struct{ Pools []any }
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/", &status); err != nil || len(status.Pools) > 0 {
			t.Errorf("status %+v (%v)", status, err)
		}
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/pools", nil); err == nil {
			t.Error("another one has answered for the pools")
		}
		if _, err := b.Metric(t.Context(), "/metrics", "caddy_broker_child_up"); err != nil {
			t.Errorf("metrics: %v", err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("it was asked %d times", len(asked))
	}
}
