// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed *.caddyfile *.conf *.cfg
var files embed.FS

// Site is what a proxy shall serve, and what its template is filled with.
type Site struct {
	// Case is the scenario; the templates have the best settings for each.
	Case string
	// Backends are host:port in their order; the first one is home.
	Backends []string
	TLS      bool
	// Workers is how many worker processes nginx has; the others use all
	// processors from one process.
	Workers int

	// Idle is how many idle connections Caddy may keep to a backend; 0 is its default.
	Idle int

	// The rest is filled in when the proxy starts.

	Dir            string // of this proxy alone
	Port           string
	Admin          string // host:port
	Cert, Key, Pem string // files; Pem is both in one
	Version        string // of nginx or HAProxy, for settings that not all of them have
	Root           bool
	HA, Policy     bool
	Standby        int
	Passed         bool // the listening socket is passed as descriptor 3, as by systemd
	Reloads        int  // how often it was reloaded; each time Caddy's file says something else
}

// passSocket lets whoever starts the program hold its socket, as systemd can, where
// the program dies and is started again: meanwhile nobody is refused.
func (s *Site) passSocket() { s.Passed = s.Case == "kill" }

// listen opens the socket to pass.
func (s *Site) listen() (*os.File, error) {
	l, err := net.Listen("tcp", "127.0.0.1:"+s.Port)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// AtLeast reports whether the program has this version or a newer one.
func (s *Site) AtLeast(version string) bool {
	return slices.Compare(numbers(s.Version), numbers(version)) >= 0
}

func numbers(version string) []int {
	var list []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil // older than all
		}
		list = append(list, n)
	}
	return list
}

// render writes the template into the site's folder and returns the path.
func (s *Site) render(name string) (string, error) {
	tmpl, err := template.ParseFS(files, name)
	if err != nil {
		return "", fmt.Errorf("reading template: %w", err)
	}
	path := filepath.Join(s.Dir, name)
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err = tmpl.Execute(file, s); err != nil {
		_ = file.Close()
		return "", fmt.Errorf("filling in %s: %w", name, err)
	}
	return path, file.Close()
}

// certify makes a certificate for localhost, the same kind for every proxy.
func (s *Site) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	for name, text := range map[*string][]byte{&s.Cert: certText, &s.Key: keyText, &s.Pem: append(certText, keyText...)} {
		file, err := os.CreateTemp(s.Dir, "*.pem")
		if err != nil {
			return err
		}
		*name = file.Name()
		if _, err = file.Write(text); err != nil {
			return err
		}
		if err = file.Close(); err != nil {
			return err
		}
	}
	return nil
}
