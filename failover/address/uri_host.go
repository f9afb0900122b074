// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

var errPlaceholder = errors.New("placeholders are not replaced in it; write the address itself, or {$NAME} for an environment variable in a Caddyfile")

// splitHostPort splits and normalises HOST, HOST:PORT, [IPv6] or [IPv6]:PORT.
// The port is empty when none was given. zoneMark stands between an IPv6 address
// and its zone: %25 in a URI, % in a dial address.
func splitHostPort(s, zoneMark string) (host, port string, err error) {
	switch {
	case strings.Contains(s, "@"):
		return "", "", errors.New("user names and passwords are not allowed in it; set a header with header_up instead")
	case strings.ContainsAny(s, "{}"):
		return "", "", errPlaceholder
	case strings.HasPrefix(s, "["):
		var after string
		var closed bool
		host, after, closed = strings.Cut(s[1:], "]")
		if !closed {
			return "", "", errors.New("the bracket of the IPv6 address is not closed: expecting [ADDRESS]:PORT")
		}
		var colon bool
		port, colon = strings.CutPrefix(after, ":")
		if !colon && after != "" {
			return "", "", fmt.Errorf("%s follows the IPv6 address: expecting [ADDRESS]:PORT", Quote(after))
		}
		if colon && port == "" {
			return "", "", errEmptyPort
		}
		host, err = normalIPv6(host, zoneMark)
	default:
		var colon bool
		host, port, colon = strings.Cut(s, ":")
		if strings.Contains(port, ":") {
			return "", "", errors.New("it has several colons: expecting HOST:PORT, and an IPv6 address in brackets: [ADDRESS]:PORT")
		}
		if colon && port == "" {
			return "", "", errEmptyPort
		}
		host, err = normalHost(host)
	}
	if err == nil && port != "" {
		port, err = parsePort(port)
	}
	return host, port, err
}

var errEmptyPort = errors.New("no port follows the colon: give the port, or leave the colon out for the scheme's default")

// normalIPv6 brings an IPv6 address to its shortest form, and one that only maps
// an IPv4 address to that, so that two spellings of one address are one backend.
func normalIPv6(s, zoneMark string) (string, error) {
	text, zone, hasZone := strings.Cut(s, zoneMark)
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", fmt.Errorf("%s is not an IPv6 address, and brackets are for those only; a zone follows %s", Quote(text), zoneMark)
	}
	if !hasZone {
		return addr.Unmap().String(), nil
	}
	if addr.Is4In6() {
		return "", fmt.Errorf("%s maps an IPv4 address, which has no zone", Quote(text))
	}
	if zone == "" || !onlyHas(zone, isNameByte) {
		return "", fmt.Errorf("zone %s: expecting the name of a network interface", Quote(zone))
	}
	return addr.WithZone(zone).String(), nil
}

// normalHost brings a host name or an IPv4 address to lower case and checks it:
// a name that no resolver takes would be a dial error for ever.
func normalHost(s string) (string, error) {
	s = strings.ToLower(s)
	name := strings.TrimSuffix(s, ".")
	switch {
	case name == "":
		return "", errors.New("it has no host: expecting a host name or an IP address, such as localhost")
	case strings.Contains(s, "%"):
		return "", fmt.Errorf("host %s: percent escapes are not allowed in a host", Quote(s))
	case !onlyHas(name, func(c byte) bool { return isNameByte(c) && c != '~' }):
		return "", fmt.Errorf("host %s: expecting letters, digits, hyphens, underscores and dots; international names in their xn-- form", Quote(s))
	case len(name) > 253:
		return "", fmt.Errorf("host %s: longer than 253 characters", Quote(s))
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("host %s: each part between dots has 1 to 63 characters", Quote(s))
		}
	}
	// Some resolvers read 010.0.0.1, 0x7f.1 or 2130706433 as IPv4 addresses in
	// notations of their own, others as names: where they lead is not known.
	if last := labels[len(labels)-1]; onlyHas(last, isDigit) || strings.HasPrefix(last, "0x") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return "", fmt.Errorf("host %s: expecting an IPv4 address of four decimal numbers without leading zeros", Quote(s))
		}
		return addr.String(), nil
	}
	return s, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isNameByte reports whether c may stand in a host name or a zone.
func isNameByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}

func onlyHas(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
