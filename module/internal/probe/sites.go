// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// Sites are the parts of Caddy's app http that say where which names are served.
type Sites struct {
	HTTPPort  int               `json:"http_port"`
	HTTPSPort int               `json:"https_port"`
	Servers   map[string]server `json:"servers"`
}

type server struct {
	Listen []string `json:"listen"`
	Routes []struct {
		Match []struct {
			Host []string `json:"host"`
		} `json:"match"`
	} `json:"routes"`
}

// Served reports which of the probes asks for a host that no site has; config is the app
// http. What it has that cannot be read, or is known only when it runs, is no error here.
func Served(list []Probe, config any) error {
	var sites Sites
	if text, err := json.Marshal(config); err != nil || json.Unmarshal(text, &sites) != nil {
		return nil //nolint:nilerr // Caddy says what is wrong with it
	}
	for i := range list {
		u, err := url.Parse(list[i].URL)
		if err != nil {
			return list[i].place(err)
		}
		if port := sites.Port(u); !sites.serve(u, port) {
			return list[i].place(fmt.Errorf("no site of this configuration serves host %s on port %d: the probe could never succeed; "+
				"name a site as it is named here, or remove the probe", u.Hostname(), port))
		}
	}
	return nil
}

// Port is the port on which this process serves what a URL names: Caddy's own for its
// scheme, unless it has one.
func (s *Sites) Port(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(n)
	}
	if u.Scheme == "http" {
		return uint16(cmp.Or(s.HTTPPort, 80))
	}
	return uint16(cmp.Or(s.HTTPSPort, 443))
}

func (s *Sites) serve(u *url.URL, port uint16) bool {
	listens := false
	for _, srv := range s.Servers {
		if !srv.listens(port) {
			continue
		}
		listens = true
		if srv.has(u.Hostname()) {
			return true
		}
	}
	if listens || u.Scheme != "http" || int(port) != cmp.Or(s.HTTPPort, 80) {
		return false
	}
	for _, srv := range s.Servers { // Caddy redirects from there to its sites
		if srv.has(u.Hostname()) {
			return true
		}
	}
	return false
}

func (srv *server) listens(port uint16) bool {
	if len(srv.Listen) == 0 {
		return true // wherever Caddy thinks best
	}
	return slices.ContainsFunc(srv.Listen, func(text string) bool {
		a, err := caddy.ParseNetworkAddress(text)
		if err != nil || strings.Contains(text, "{") {
			return true // Caddy says what it makes of that
		}
		return !a.IsUnixNetwork() && !a.IsFdNetwork() && a.StartPort <= uint(port) && uint(port) <= a.EndPort
	})
}

// has reports whether a top-level route matches a host. Without a route a server answers
// for all.
func (srv *server) has(host string) bool {
	for _, route := range srv.Routes {
		if len(route.Match) == 0 {
			return true
		}
		for _, set := range route.Match {
			if len(set.Host) == 0 || slices.ContainsFunc(set.Host, func(h string) bool {
				return strings.Contains(h, "{") || certmagic.MatchWildcard(strings.ToLower(host), strings.ToLower(h))
			}) {
				return true
			}
		}
	}
	return len(srv.Routes) == 0
}
