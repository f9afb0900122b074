// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// URI is one address of a pool, normalised: "tcp" has become "http" and "ssl"
// has become "https", the host is in lower case, the port is explicit.
type URI struct {
	// Scheme is "http", "https", "h2c" or "unix".
	Scheme string
	// Host is a host name or an IP address without brackets; for "unix" it is
	// the path of the socket.
	Host string
	// Port is decimal; empty for "unix".
	Port string
	// Options are the address's own options, as far as they were given.
	Options AddressOptions
}

// AddressOptions are the options that one address may carry, or "nested" gives
// to all. A nil field was not given.
type AddressOptions struct {
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
