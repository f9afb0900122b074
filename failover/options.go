// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// Options are the settings of one pool, complete: what was not given has its
// default.
type Options struct {
	InitialReconnectDelay  time.Duration
	MaxReconnectDelay      time.Duration
	MaxReconnectDelaySet   bool // the user set MaxReconnectDelay himself
	UseExponentialBackOff  bool
	ReconnectDelayExponent float64
	ReconnectJitter        float64

	MaxReconnectAttempts           int
	StartupMaxReconnectAttempts    int
	StartupMaxReconnectAttemptsSet bool

	Randomize      bool
	PriorityBackup bool
	PriorityURIs   []URI
	FailbackDelay  time.Duration

	Backup         bool
	BackupPoolSize int

	// Timeout is negative for "as long as the client waits".
	Timeout    time.Duration
	TimeoutSet bool
	MaxWaiting int

	TrackMessages bool
	MaxCacheSize  int64

	UpdateURIsSupported bool
	UpdateURIsURL       string
	UpdateURIsAllow     []string
	RebalanceUpdateURIs bool
	ReconnectSupported  bool

	WarnAfterReconnectAttempts int

	// Nested options win over an address's own.
	Nested AddressOptions

	Affinity Affinity
	// PingMethod and PingURI are the request of a ping: "OPTIONS" and "*".
	PingMethod string
	PingURI    string
	// Pool is the pool's name; empty lets the caller choose.
	Pool string
}

// AffinityKind says who is "the client" that stays on one backend.
type AffinityKind uint8

// The kinds of affinity.
const (
	AffinityDefault  AffinityKind = iota // client_ip with randomize, else pool
	AffinityClientIP                     // the client's address; IPv6 by /64
	AffinityCookie                       // a cookie of ours that names the backend the client was moved to
	AffinityHeader                       // the value of a request header
	AffinityRequest                      // every request is its own client
	AffinityPool                         // all clients are one
)

// Affinity is the option of that name.
type Affinity struct {
	Kind AffinityKind
	// Name is the cookie's or the header's.
	Name string
}
