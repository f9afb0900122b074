// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"net"
	"net/url"
	"strings"
	"time"
)

// The schemes of a normalised URI.
const (
	SchemeHTTP  = "http"
	SchemeHTTPS = "https"
	SchemeH2C   = "h2c"
	SchemeUnix  = "unix"
)

// URI is one address of a pool, normalised: "tcp" has become "http" and "ssl"
// has become "https", the host is in lower case, the port is explicit.
type URI struct {
	// Scheme is "http", "https", "h2c" or "unix". It is empty only for an address
	// that was written as host:port where that is allowed (ParseDial,
	// priority_uris): its scheme is that of the pool.
	Scheme string
	// Host is a host name or an IP address without brackets; for "unix" it is
	// the path of the socket.
	Host string
	// Port is decimal; empty for "unix".
	Port string
	// Options are the address's own options, as far as they were given.
	Options URIOptions
}

// URIOptions are the options that one address may carry, or "nested" gives
// to all. A nil field was not given.
type URIOptions struct {
	// MaxRequests is how many requests the backend may have in progress; 0 means
	// no limit, which is the default.
	MaxRequests *int
	// ConnectionTimeout bounds name lookup, dial and TLS handshake together.
	// Default 3 s.
	ConnectionTimeout *time.Duration
	// SoTimeout ends a request that has no response header after that long, with
	// 504; nothing fails over. 0 means never, which is the default.
	SoTimeout *time.Duration
	// MaxInactivityDuration is wireFormat.maxInactivityDuration: how long a
	// backend may be silent before it counts as hung. 0 turns this off. Default 30 s.
	MaxInactivityDuration *time.Duration
}

// Name is what users see and write: scheme://host:port, or unix//path. Without
// a scheme it is the dial address.
func (u URI) Name() string {
	if u.Scheme == SchemeUnix || u.Scheme == "" {
		return u.Dial()
	}
	// A zone is part of the dial address, but its percent sign is escaped in a URI.
	return u.Scheme + "://" + net.JoinHostPort(strings.Replace(u.Host, "%", "%25", 1), u.Port)
}

// Dial is the address in the form that Caddy dials: host:port, or unix//path.
func (u URI) Dial() string {
	if u.Scheme == SchemeUnix {
		return "unix/" + u.Host
	}
	return net.JoinHostPort(u.Host, u.Port)
}

// Key is the identity of the backend: two addresses with the same key are one.
// Names are not resolved for this, and options play no part.
func (u URI) Key() string { return u.Name() }

// String is the name with the address's own options. ParseURI reads it back.
func (u URI) String() string {
	var query []string
	all := Options{Nested: u.Options}
	for i := range table {
		o := &table[i]
		if o.Scope != ScopeAddress {
			continue
		}
		if v := o.Get(&all); v != nil {
			query = append(query, url.QueryEscape(o.Address[0])+"="+url.QueryEscape(addressText(v)))
		}
	}
	if len(query) == 0 {
		return u.Name()
	}
	return u.Name() + "?" + strings.Join(query, "&")
}
