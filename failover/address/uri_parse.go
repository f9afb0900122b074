// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a unix socket that Linux can dial. A
// longer one would fail at every dial, so it is refused when it is read.
const maxSocketPath = 107

// schemeOf maps every accepted scheme to the one it stands for.
var schemeOf = map[string]string{
	"http":  SchemeHTTP,
	"tcp":   SchemeHTTP,
	"https": SchemeHTTPS,
	"ssl":   SchemeHTTPS,
	"h2c":   SchemeH2C,
}

var defaultPort = map[string]string{SchemeHTTP: "80", SchemeHTTPS: "443", SchemeH2C: "80"}

// ParseURI reads one address with its scheme and options, such as
// "https://app1.example:8443?maxRequests=50" or "unix//run/app.sock", and
// normalises it. Its errors say what is allowed.
func ParseURI(s string) (URI, error) {
	err := checkText(s)
	var u URI
	if err == nil {
		u, err = parseURI(s)
	}
	if err != nil {
		return URI{}, fmt.Errorf("reading address %s: %w", Quote(s), err)
	}
	return u, nil
}

// ParseDial reads an address in the form that Caddy dials, host:port or
// unix//path. The scheme of the result is "unix" or empty: a dial address does
// not tell it.
func ParseDial(s string) (URI, error) {
	err := checkText(s)
	var u URI
	if err == nil {
		u, err = parseDial(s)
	}
	if err != nil {
		return URI{}, fmt.Errorf("reading dial address %s: %w", Quote(s), err)
	}
	return u, nil
}

// parseMember reads what names a backend of a pool in a configuration: an
// address with a scheme, or a dial address.
func parseMember(s string) (URI, error) {
	if err := checkText(s); err != nil {
		return URI{}, err
	}
	if _, ok := socketPath(s); ok || strings.Contains(s, "://") {
		return parseURI(s)
	}
	return parseDial(s)
}

func parseURI(s string) (URI, error) {
	rest, query, hasQuery := strings.Cut(s, "?")
	var u URI
	var err error
	if path, ok := socketPath(rest); ok {
		u, err = unixURI(path)
	} else {
		u, err = hostURI(rest)
	}
	if err != nil {
		return URI{}, err
	}
	if hasQuery {
		err = parseAddressOptions(query, &u.Options)
	}
	return u, err
}

// parseAddressOptions reads the query of one address.
func parseAddressOptions(query string, into *URIOptions) error {
	pairs, err := splitQuery(query)
	if err != nil {
		return err
	}
	seen := make(map[string]string)
	var all Options
	for _, p := range pairs {
		o := lookupAddress(ScopeAddress, p.name)
		if o == nil {
			return unknownAddressOption(ScopeAddress, p.name)
		}
		if err := once(seen, o, p.name); err != nil {
			return err
		}
		if err := o.Read(&all, p.value, addressUnits); err != nil {
			return fmt.Errorf("option %s: %w", p.name, err)
		}
	}
	*into = all.Nested
	return nil
}

// socketPath reports whether s names a unix socket, and its path: unix//path and
// unix/path as Caddy writes them, unix:/path and unix:///path as URIs.
func socketPath(s string) (path string, ok bool) {
	if path, ok = strings.CutPrefix(s, "unix/"); ok {
		return path, true
	}
	if path, ok = strings.CutPrefix(s, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", true // "unix://run/x" names a host, not a path
		}
		return path, true
	}
	if path, ok = strings.CutPrefix(s, "unix:"); ok && strings.HasPrefix(path, "/") {
		return path, true
	}
	return "", false
}

func unixURI(path string) (URI, error) {
	switch {
	case path == "":
		return URI{}, errors.New("a unix address needs the path of a socket: expecting unix//run/app.sock or unix:///run/app.sock")
	case strings.HasSuffix(path, "/"):
		return URI{}, errors.New("the path of the socket names a directory: expecting unix//run/app.sock")
	case strings.Contains(path, "%"):
		return URI{}, errors.New("the path of a socket is taken as it stands: percent escapes are not allowed in it")
	case strings.ContainsAny(path, "{}"):
		return URI{}, errPlaceholder
	case strings.ContainsAny(path, "(),?"):
		return URI{}, errors.New("the path of a socket cannot hold parentheses, commas or question marks: rename or link the socket")
	case len(path) > maxSocketPath:
		return URI{}, fmt.Errorf("the path of the socket has %d bytes: at most %d can be dialled", len(path), maxSocketPath)
	}
	return URI{Scheme: SchemeUnix, Host: path}, nil
}

func hostURI(s string) (URI, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		if scheme, _, found := strings.Cut(s, ":"); found && instead[scheme] != "" {
			return URI{}, schemeError(scheme)
		}
		return URI{}, errors.New("it has no scheme: expecting http://HOST:PORT, https://HOST:PORT, h2c://HOST:PORT or unix//PATH")
	}
	normal := schemeOf[scheme]
	if normal == "" {
		return URI{}, schemeError(scheme)
	}
	authority, path, slash := strings.Cut(rest, "/")
	if slash && path != "" {
		return URI{}, errors.New("it has a path: a backend is scheme, host and port; rewrite the request's path in the site instead")
	}
	host, port, err := splitHostPort(authority, "%25")
	if err != nil {
		return URI{}, err
	}
	if port == "" {
		port = defaultPort[normal]
	}
	return URI{Scheme: normal, Host: host, Port: port}, nil
}

func parseDial(s string) (URI, error) {
	if path, ok := socketPath(s); ok {
		return unixURI(path)
	}
	if strings.Contains(s, "://") {
		return URI{}, errors.New("a dial address has no scheme: expecting HOST:PORT or unix//PATH")
	}
	host, port, err := splitHostPort(strings.TrimPrefix(s, "tcp/"), "%")
	if err == nil && port == "" {
		err = errors.New("it has no port: expecting HOST:PORT or unix//PATH")
	}
	if err != nil {
		return URI{}, err
	}
	return URI{Host: host, Port: port}, nil
}

// parsePort reads a decimal port and removes leading zeros.
func parsePort(s string) (string, error) {
	if strings.Contains(s, "-") {
		return "", fmt.Errorf("port %s: ranges are not allowed: list each address", Quote(s))
	}
	n, err := portNumber(s)
	return strconv.Itoa(int(n)), err
}

func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %s: expecting a number from 1 to 65535", Quote(s))
	}
	return uint16(n), nil
}
