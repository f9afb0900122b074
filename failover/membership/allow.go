// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// The reasons why an address from elsewhere is refused.
var (
	ErrNotAllowed = errors.New("update_uris_allow does not name it")
	ErrSpecial    = errors.New("it is a loopback, link-local, unspecified, multicast or metadata address, or a socket of this machine, and the operator did not name exactly it")
	ErrOwn        = errors.New("this process or its parent listens there, and the operator did not name exactly it")
	ErrOptions    = errors.New("it has options, which only the operator gives")
)

// AllowList says which addresses a pool takes from those that are not the
// operator: backends, peers and lists on other machines.
type AllowList struct {
	rules []address.AllowRule
	hosts []string
	ports []uint16
	exact map[string]bool // host:port that the operator wrote himself
	known map[string]bool // those of them that are configured: no rule need name them
	// Own reports whether this process or its parent listens at an address; nil is never.
	Own func(netip.AddrPort) bool
}

// NewAllowList makes the list from the rules of update_uris_allow and the
// configured addresses. Without a rule the configured hosts with the configured
// ports are allowed.
func NewAllowList(rules []string, configured []address.URI) (*AllowList, error) {
	a := &AllowList{exact: make(map[string]bool), known: make(map[string]bool)}
	for _, u := range configured {
		port, err := strconv.ParseUint(u.Port, 10, 16)
		if err != nil {
			continue // a unix socket allows nothing else
		}
		a.hosts = append(a.hosts, u.Host)
		a.ports = append(a.ports, uint16(port))
		a.exact[u.Dial()], a.known[u.Dial()] = true, true
	}
	for _, text := range rules {
		r, err := address.ParseAllowRule(text)
		if err != nil {
			return nil, fmt.Errorf("option update_uris_allow: %s: %w", address.Quote(text), err)
		}
		a.rules = append(a.rules, r)
		if r.FirstPort == 0 || r.FirstPort != r.LastPort {
			continue
		}
		port := strconv.Itoa(int(r.FirstPort))
		switch {
		case r.Network.IsValid() && r.Network.IsSingleIP():
			a.exact[address.URI{Host: r.Network.Addr().String(), Port: port}.Dial()] = true
		case r.Host != "" && !strings.Contains(r.Host, "*"):
			a.exact[address.URI{Host: r.Host, Port: port}.Dial()] = true
		}
	}
	if len(rules) == 0 {
		a.rules = []address.AllowRule{{}}
	}
	return a, nil
}

// Check reports whether an address may join the pool. What its name resolves to
// is for CheckDial.
func (a *AllowList) Check(u address.URI) error {
	if u.Scheme == address.SchemeUnix {
		return ErrSpecial
	}
	if u.Options != (address.URIOptions{}) {
		return ErrOptions
	}
	n, err := strconv.ParseUint(u.Port, 10, 16)
	if err != nil {
		return ErrNotAllowed
	}
	if !a.known[u.Dial()] && !slices.ContainsFunc(a.rules, func(r address.AllowRule) bool { return a.matches(r, u.Host, uint16(n)) }) {
		return ErrNotAllowed
	}
	if isLocalName(u.Host) && !a.exact[u.Dial()] {
		return ErrSpecial
	}
	if ip, err := netip.ParseAddr(u.Host); err == nil {
		return a.CheckDial(u, ip, u.Port)
	}
	return nil
}

// CheckDial reports whether u may be dialled at one of the addresses that its host
// resolves to, and at that port: its own, or health_port. A host name is the
// operator's word for what it is called, not for where it leads: only localhost
// may lead to loopback.
func (a *AllowList) CheckDial(u address.URI, ip netip.Addr, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ErrNotAllowed
	}
	zone := ip.Zone()
	ip = ip.WithZone("").Unmap()
	if a.exact[address.URI{Host: ip.WithZone(zone).String(), Port: u.Port}.Dial()] {
		return nil
	}
	if isLocalName(u.Host) && ip.IsLoopback() && a.exact[u.Dial()] {
		return nil
	}
	if isSpecial(ip) {
		return ErrSpecial
	}
	for _, at := range []netip.Addr{ip, Destination(ip)} {
		if a.Own != nil && a.Own(netip.AddrPortFrom(at, uint16(n))) {
			return ErrOwn
		}
	}
	return nil
}

// matches reports whether a rule names host and port.
func (a *AllowList) matches(r address.AllowRule, host string, port uint16) bool {
	switch {
	case r.Network.IsValid():
		ip, err := netip.ParseAddr(host)
		if err != nil || !r.Network.Contains(ip.WithZone("")) {
			return false
		}
	case r.Host != "":
		if !matchPattern(r.Host, host) {
			return false
		}
	case !slices.Contains(a.hosts, host):
		return false
	}
	if r.FirstPort == 0 {
		return slices.Contains(a.ports, port)
	}
	return r.FirstPort <= port && port <= r.LastPort
}

// isLocalName reports whether a name means this machine wherever it is resolved.
func isLocalName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// matchPattern matches a name with a pattern in which * stands for any
// characters. A dot at the end of a name changes nothing.
func matchPattern(pattern, name string) bool {
	pattern, name = strings.TrimSuffix(pattern, "."), strings.TrimSuffix(name, ".")
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], next
	}
}
