// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"net/netip"
	"strings"
)

// AllowRule is one entry of update_uris_allow: what an announced address may
// name. Each half that is not given falls back to what is configured.
type AllowRule struct {
	// Network holds the address; not valid when the rule names no network.
	Network netip.Prefix
	// Host is a pattern of host names in lower case, in which * stands for any
	// characters; "*" alone is any host, "" the configured hosts.
	Host string
	// FirstPort and LastPort bound the port; both 0 mean the configured ports.
	FirstPort, LastPort uint16
}

// ParseAllowRule reads a network (10.0.0.0/8), an address, or a host pattern
// (*.app.internal), with or without :PORT, :FIRST-LAST or :*, or the port alone.
// An IPv6 network or address with a port stands in brackets.
func ParseAllowRule(s string) (AllowRule, error) {
	if s == "" {
		return AllowRule{}, errors.New("the rule is empty")
	}
	host, port, hasPort, err := splitRule(s)
	if err != nil {
		return AllowRule{}, err
	}
	var r AllowRule
	if hasPort {
		if r.FirstPort, r.LastPort, err = parsePortRange(port); err != nil {
			return AllowRule{}, err
		}
	}
	switch {
	case host == "" && !hasPort:
		return AllowRule{}, errors.New("the rule is empty")
	case host == "":
	case strings.Contains(host, "/"):
		r.Network, err = netip.ParsePrefix(host)
		if err == nil && r.Network != r.Network.Masked() {
			err = errors.New("the address has bits beyond the network: write " + r.Network.Masked().String())
		} else if err != nil {
			err = errors.New("it is not a network in CIDR notation")
		}
		if err == nil && r.Network.Addr().Is4In6() && r.Network.Bits() >= 96 { // addresses are read likewise
			r.Network = netip.PrefixFrom(r.Network.Addr().Unmap(), r.Network.Bits()-96)
		}
	default:
		if addr, aerr := netip.ParseAddr(host); aerr == nil {
			if addr.Zone() != "" {
				return AllowRule{}, errors.New("zones are not allowed")
			}
			addr = addr.Unmap()
			r.Network = netip.PrefixFrom(addr, addr.BitLen())
			break
		}
		r.Host, err = normalPattern(host)
	}
	if err != nil {
		return AllowRule{}, err
	}
	return r, nil
}

func checkAllowRule(s string) error {
	_, err := ParseAllowRule(s)
	return err
}

func splitRule(s string) (host, port string, hasPort bool, err error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, closed := strings.Cut(inner, "]")
		port, hasPort = strings.CutPrefix(rest, ":")
		if !closed || rest != "" && !hasPort || !strings.Contains(host, ":") {
			return "", "", false, errors.New("brackets hold an IPv6 address or network, and a colon and the port follow")
		}
		return host, port, hasPort, nil
	}
	if strings.Count(s, ":") > 1 { // IPv6 without a port
		return s, "", false, nil
	}
	host, port, hasPort = strings.Cut(s, ":")
	return host, port, hasPort, nil
}

func parsePortRange(s string) (first, last uint16, err error) {
	if s == "*" {
		return 1, 65535, nil
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, err = portNumber(low)
	if err == nil {
		last, err = portNumber(high)
	}
	if err == nil && first > last {
		err = errors.New("the first port of the range is above the last")
	}
	return first, last, err
}

// normalPattern checks a host name in which * may stand for any characters.
func normalPattern(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	if strings.Contains(s, "**") {
		return "", errors.New("one * stands for any number of characters")
	}
	if onlyHas(s, func(c byte) bool { return isDigit(c) || c == '.' || c == '*' }) {
		return "", errors.New("* stands in names; for addresses write a network, such as 10.0.0.0/24")
	}
	if _, err := normalHost(strings.ReplaceAll(s, "*", "x")); err != nil {
		return "", errors.New("it is neither a network nor a pattern of host names")
	}
	return strings.ToLower(s), nil
}
