// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// mayPost reports whether the client that sends a GET may send a POST to the same path as well.
// The local endpoint makes no difference; the remote one has rules for each certificate,
// which Caddy itself applies to every request: this is only about what is offered.
func mayPost(r *http.Request) bool {
	if r.TLS == nil {
		return true
	}
	shown := broker.Shown()
	if shown == nil {
		return false
	}
	var config struct {
		Admin struct {
			Remote struct {
				AccessControl []*caddy.AdminAccess `json:"access_control"`
			} `json:"remote"`
		} `json:"admin"`
	}
	if json.Unmarshal(shown.JSON(), &config) != nil {
		return false
	}
	for _, chain := range r.TLS.VerifiedChains {
		for _, access := range config.Admin.Remote.AccessControl {
			if slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return isFor(access, c) }) && permits(access, r.URL.Path) {
				return true
			}
		}
	}
	return false
}

// isFor reports whether an entry is about the key of a certificate.
func isFor(access *caddy.AdminAccess, c *x509.Certificate) bool {
	return slices.ContainsFunc(access.PublicKeys, func(text string) bool {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return false
		}
		known, err := x509.ParseCertificate(der)
		return err == nil && slices.Equal(known.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
	})
}

// permits reports whether an entry permits a POST to a path.
func permits(access *caddy.AdminAccess, to string) bool {
	if len(access.Permissions) == 0 {
		return true
	}
	return slices.ContainsFunc(access.Permissions, func(p caddy.AdminPermissions) bool {
		there := p.Paths == nil || slices.ContainsFunc(p.Paths, func(allowed string) bool {
			if allowed = path.Clean("/" + allowed); allowed == "/" {
				return true
			}
			return path.Clean(to) == allowed || strings.HasPrefix(path.Clean(to), allowed+"/")
		})
		return there && (p.Methods == nil || slices.Contains(p.Methods, http.MethodPost))
	})
}
