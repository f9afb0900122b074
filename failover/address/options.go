// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"time"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// Options are the settings of one pool, complete: what was not given has its
// default. options_table.go says of each what it does and what is allowed.
type Options struct {
	InitialReconnectDelay  time.Duration
	MaxReconnectDelay      time.Duration
	MaxReconnectDelaySet   bool // the user set MaxReconnectDelay himself
	UseExponentialBackOff  bool
	ReconnectDelayExponent float64
	ReconnectJitter        float64

	MaxReconnectAttempts int
	// StartupMaxReconnectAttempts is MaxReconnectAttempts unless it was given.
	StartupMaxReconnectAttempts    int
	StartupMaxReconnectAttemptsSet bool

	Randomize      bool
	PriorityBackup bool
	// PriorityURIs is empty for the default, the first address of the list. A
	// URI without a scheme stands for the one of that host and port in the pool;
	// ResolvePriority fills it in.
	PriorityURIs  []URI
	FailbackDelay time.Duration

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
	// Discovery is an agent and what it looks for: "mdns _http._tcp".
	Discovery           string
	RebalanceUpdateURIs bool
	ReconnectSupported  bool

	WarnAfterReconnectAttempts int

	// Nested options win over an address's own.
	Nested URIOptions

	Affinity Affinity
	// PingMethod and PingURI are the request of a ping: "OPTIONS" and "*".
	PingMethod string
	PingURI    string
	// Pool is the pool's name; empty lets the caller choose.
	Pool string
}

// The defaults of the address options.
const (
	DefaultConnectionTimeout     = 3 * time.Second
	DefaultMaxInactivityDuration = 30 * time.Second
)

// noLimit is the -1 that stands for "no limit" in durations.
const noLimit = options.NoLimit

// DefaultOptions are the options of a pool for which none was given.
func DefaultOptions() Options {
	return Options{
		InitialReconnectDelay:       10 * time.Millisecond,
		MaxReconnectDelay:           30 * time.Second,
		UseExponentialBackOff:       true,
		ReconnectDelayExponent:      2,
		ReconnectJitter:             0.2,
		MaxReconnectAttempts:        -1,
		StartupMaxReconnectAttempts: -1,
		Randomize:                   true,
		FailbackDelay:               time.Second,
		BackupPoolSize:              1,
		Timeout:                     noLimit,
		MaxWaiting:                  4096,
		MaxCacheSize:                128 << 10,
		UpdateURIsSupported:         true,
		RebalanceUpdateURIs:         true,
		ReconnectSupported:          true,
		WarnAfterReconnectAttempts:  10,
		PingMethod:                  "OPTIONS",
		PingURI:                     "*",
	}
}

// Counted reports whether it is known how many clients are elsewhere: not where all are one,
// and where they carry it themselves.
func (a Affinity) Counted() bool { return a.Kind == AffinityClientIP || a.Kind == AffinityHeader }

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

// EffectiveAffinity is the affinity with its default resolved: client_ip with
// randomize, else pool.
func (o Options) EffectiveAffinity() Affinity {
	switch {
	case o.Affinity.Kind != AffinityDefault:
		return o.Affinity
	case o.Randomize:
		return Affinity{Kind: AffinityClientIP}
	default:
		return Affinity{Kind: AffinityPool}
	}
}
