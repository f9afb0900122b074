// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"math"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// Scope says where an option belongs.
type Scope = options.Scope

// The scopes.
const (
	// ScopePool options are given once per pool.
	ScopePool Scope = iota
	// ScopeAddress options are given per address, or to all addresses as nested.
	ScopeAddress
)

// Option is one row of the table that everything about options is made from:
// the parsers of addresses, Caddyfile and JSON, their errors, the reference in
// docs, and status. Those of ScopeAddress are read from and put into Nested.
type Option = options.Row[Options]

// OptionTable returns all options, those of a pool first.
func OptionTable() []Option {
	all := make([]Option, len(table))
	copy(all, table)
	return all
}

// table is filled by init because its accessors and URI's methods refer to each other.
var table options.Table[Options]

func init() { table = append(poolOptions(), addressOptions()...) }

func poolOptions() []Option {
	return []Option{
		{
			Name: "initial_reconnect_delay", Address: []string{"initialReconnectDelay"}, Kind: options.Duration,
			Default: "10ms", Allowed: atLeastZeroDuration,
			Effect: "The first wait of the back-off. No wait is ever shorter than 10 ms.",
			Access: options.Field(func(o *Options) *time.Duration { return &o.InitialReconnectDelay }, options.NotNegative),
		},
		{
			Name: "max_reconnect_delay", Address: []string{"maxReconnectDelay"}, Kind: options.Duration,
			Default: "30s", Allowed: atLeastZeroDuration,
			Effect: "The longest wait of the back-off. While a request waits for a backend, no wait exceeds one second unless this option is set.",
			Access: options.Marked(options.Field(func(o *Options) *time.Duration { return &o.MaxReconnectDelay }, options.NotNegative),
				func(o *Options) *bool { return &o.MaxReconnectDelaySet }),
		},
		{
			Name: "use_exponential_backoff", Address: []string{"useExponentialBackOff"}, Kind: options.Bool,
			Default: "true", Allowed: trueOrFalse,
			Effect: "Whether the wait grows from pass to pass. Without it, every wait is `initial_reconnect_delay`.",
			Access: options.Field(func(o *Options) *bool { return &o.UseExponentialBackOff }),
		},
		{
			Name: "reconnect_delay_exponent", Address: []string{"reconnectDelayExponent", "backOffMultiplier"}, Kind: options.Float,
			Default: "2.0", Allowed: "a number, at least 1",
			Effect: "By how much the wait is multiplied from pass to pass.",
			Access: options.Field(func(o *Options) *float64 { return &o.ReconnectDelayExponent }, options.Within(1.0, math.MaxFloat64)),
		},
		{
			Name: "reconnect_jitter", Kind: options.Float,
			Default: "0.2", Allowed: "a number from 0 to 1",
			Effect: "The share by which each wait is shortened or lengthened at random; 0 for exact waits.",
			Access: options.Field(func(o *Options) *float64 { return &o.ReconnectJitter }, options.Within(0.0, 1.0)),
		},
		{
			Name: "max_reconnect_attempts", Address: []string{"maxReconnectAttempts"}, Kind: options.Int,
			Default: "-1", Allowed: attempts,
			Effect: "After this many failed passes in a row waiting requests get an error; -1 for no limit. With 0 nothing fails over: a request gets the one backend that its client has, or the error.",
			Access: options.Field(func(o *Options) *int { return &o.MaxReconnectAttempts }, options.Within(-1, math.MaxInt)),
		},
		{
			Name: "startup_max_reconnect_attempts", Address: []string{"startupMaxReconnectAttempts"}, Kind: options.Int,
			Default: "`max_reconnect_attempts`", Allowed: attempts,
			Effect: "The same limit until the pool has reached a backend for the first time: -1 for no limit, 0 and 1 for one pass.",
			Access: options.Marked(options.Field(func(o *Options) *int { return &o.StartupMaxReconnectAttempts }, options.Within(-1, math.MaxInt)),
				func(o *Options) *bool { return &o.StartupMaxReconnectAttemptsSet }),
		},
		{
			Name: "randomize", Address: []string{"randomize"}, Kind: options.Bool,
			Default: "true", Allowed: trueOrFalse,
			Effect: "Whether each client has a random order of backends of its own, the same at any time; without it the list is tried from left to right.",
			Access: options.Field(func(o *Options) *bool { return &o.Randomize }),
		},
		{
			Name: "priority_backup", Address: []string{"priorityBackup"}, Kind: options.Bool,
			Default: "false", Allowed: trueOrFalse,
			Effect: "Whether clients return to a priority backend by themselves once it is ready.",
			Access: options.Field(func(o *Options) *bool { return &o.PriorityBackup }),
		},
		{
			Name: "priority_uris", Address: []string{"priorityURIs"}, Kind: options.List,
			Default: "the first address", Allowed: "addresses such as http://HOST:PORT",
			Effect: "The priority backends, in the order of preference. One that is not in the list joins it at the end.",
			Access: priorityField(),
		},
		{
			Name: "failback_delay", Kind: options.Duration,
			Default: "1s", Allowed: atLeastZeroDuration,
			Effect: "How long a priority backend must have answered pings before clients return to it.",
			Access: options.Field(func(o *Options) *time.Duration { return &o.FailbackDelay }, options.NotNegative),
		},
		{
			Name: "backup", Address: []string{"backup"}, Kind: options.Bool,
			Default: "false", Allowed: trueOrFalse,
			Effect: "Whether warm connections to the next backends are held, so that the first request after a failover finds one open.",
			Access: options.Field(func(o *Options) *bool { return &o.Backup }),
		},
		{
			Name: "backup_pool_size", Address: []string{"backupPoolSize"}, Kind: options.Int,
			Default: "1", Allowed: "a whole number, at least 1",
			Effect: "To how many backends a warm connection is held.",
			Access: options.Field(func(o *Options) *int { return &o.BackupPoolSize }, options.Within(1, math.MaxInt)),
		},
		{
			Name: "timeout", Address: []string{"timeout"}, Kind: options.Duration,
			Default: "-1", Allowed: "-1 (as long as the client waits) or a duration, above 0",
			Effect: "How long a request may be without an established backend connection: passes, dials and waiting, also between two sends. Until the pool has reached a backend for the first time a request waits at most 5 s, unless this or `startup_max_reconnect_attempts` is set.",
			Access: options.Marked(options.Field(func(o *Options) *time.Duration { return &o.Timeout }, options.NoLimitOr(options.Positive)),
				func(o *Options) *bool { return &o.TimeoutSet }),
		},
		{
			Name: "max_waiting", Kind: options.Int,
			Default: "4096", Allowed: atLeastZero,
			Effect: "How many requests may wait for a backend; the next one is answered 503 at once.",
			Access: options.Field(func(o *Options) *int { return &o.MaxWaiting }, options.Within(0, math.MaxInt)),
		},
		{
			Name: "track_messages", Address: []string{"trackMessages"}, Kind: options.Bool,
			Default: "false", Allowed: trueOrFalse,
			Effect: "Whether request bodies are kept so that a request in flight can be sent again. Turning it on is also the operator's statement that all backends honour `Idempotency-Key` against one shared store.",
			Access: options.Field(func(o *Options) *bool { return &o.TrackMessages }),
		},
		{
			Name: "max_cache_size", Address: []string{"maxCacheSize"}, Kind: options.Size,
			Default: "131072", Allowed: "a number of bytes, at least 0",
			Effect: "Bytes for kept bodies in the whole pool; one request gets at most an eighth. A body that does not fit is sent on, but cannot be sent again.",
			Access: options.Field(func(o *Options) *int64 { return &o.MaxCacheSize }, options.Within[int64](0, math.MaxInt64)),
		},
		{
			Name: "update_uris_supported", Address: []string{"updateURIsSupported"}, Kind: options.Bool,
			Default: "true", Allowed: trueOrFalse,
			Effect: "Whether addresses that backends announce are accepted.",
			Access: options.Field(func(o *Options) *bool { return &o.UpdateURIsSupported }),
		},
		{
			Name: "update_uris_url", Address: []string{"updateURIsURL"}, Kind: options.String,
			Default: "none", Allowed: "an http or https URL, a file URL or the path of a file",
			Effect: "A list with further addresses.",
			Access: options.Field(func(o *Options) *string { return &o.UpdateURIsURL }, checkListURL),
		},
		{
			Name: "update_uris_allow", Kind: options.List,
			Default: "the configured hosts and ports", Allowed: allowRules,
			Effect: "What an announced address may name. A rule without a port means the configured ports, a rule without a host the configured hosts.",
			Access: options.Entries(func(o *Options) *[]string { return &o.UpdateURIsAllow }, checkAllowRule),
		},
		{
			Name: "discovery", Kind: options.Words,
			Default: "none", Allowed: "mdns SERVICE, such as mdns _http._tcp",
			Effect: "What finds further addresses: multicast DNS finds the instances of a service on the local network. `update_uris_allow` has to name them.",
			Access: options.Field(func(o *Options) *string { return &o.Discovery }, checkDiscovery),
		},
		{
			Name: "rebalance_update_uris", Address: []string{"rebalanceUpdateURIs"}, Kind: options.Bool,
			Default: "true", Allowed: trueOrFalse,
			Effect: "Whether clients spread again when the list at `update_uris_url` has changed.",
			Access: options.Field(func(o *Options) *bool { return &o.RebalanceUpdateURIs }),
		},
		{
			Name: "reconnect_supported", Address: []string{"reconnectSupported"}, Kind: options.Bool,
			Default: "true", Allowed: trueOrFalse,
			Effect: "Whether a backend may ask for its clients to be moved to another member.",
			Access: options.Field(func(o *Options) *bool { return &o.ReconnectSupported }),
		},
		{
			Name: "warn_after_reconnect_attempts", Address: []string{"warnAfterReconnectAttempts"}, Kind: options.Int,
			Default: "10", Allowed: "a whole number; 0 and below for never",
			Effect: "A warning is logged at the first failed pass and at every one whose number is a multiple of this, at most once in ten seconds.",
			Access: options.Field(func(o *Options) *int { return &o.WarnAfterReconnectAttempts }),
		},
		{
			Name: "affinity", Kind: options.Words,
			Default: "`client_ip` with `randomize`, else `pool`", Allowed: "client_ip, cookie NAME, header NAME, request or pool",
			Effect: "Who is the client that stays on a backend: a client address (IPv6 by /64), who holds the cookie, who sends the header's value, each request by itself, or all clients as one.",
			Access: affinityField(),
		},
		{
			Name: "ping", Kind: options.Words,
			Default: "`OPTIONS *`", Allowed: "a method and a URI, such as GET /health",
			Effect: "The request that asks a backend whether it is alive. Any status is an answer.",
			Access: pingField(),
		},
		{
			Name: "pool", Kind: options.String,
			Default: "host and port of the first address", Allowed: "up to 100 letters, digits and any of - _ . : [ ]",
			Effect: "The pool's name: in status, metrics and events, and for the state that survives reloads. Handlers share a pool by naming it, with equal options and lists.",
			Access: options.Field(func(o *Options) *string { return &o.Pool }, checkPoolName),
		},
	}
}

func addressOptions() []Option {
	return []Option{
		{
			Name: "max_requests", Address: []string{"maxRequests"}, Scope: ScopeAddress, Kind: options.Int,
			Default: "0", Allowed: atLeastZero,
			Effect: "How many requests the backend may have in progress; a full one is passed over, and its clients stay its own. 0 for no limit.",
			Access: options.Optional(func(o *Options) **int { return &o.Nested.MaxRequests }, options.Within(0, math.MaxInt)),
		},
		{
			Name: "connection_timeout", Address: []string{"connectionTimeout"}, Scope: ScopeAddress, Kind: options.Duration,
			Default: "3s", Allowed: "a duration, above 0",
			Effect: "Limit of name lookup, dial and TLS handshake together.",
			Access: options.Optional(func(o *Options) **time.Duration { return &o.Nested.ConnectionTimeout }, options.Positive),
		},
		{
			Name: "so_timeout", Address: []string{"soTimeout"}, Scope: ScopeAddress, Kind: options.Duration,
			Default: "0", Allowed: atLeastZeroDuration,
			Effect: "After this long without a response header this one request ends with 504; nothing fails over and nothing is sent again. 0 for no limit.",
			Access: options.Optional(func(o *Options) **time.Duration { return &o.Nested.SoTimeout }, options.NotNegative),
		},
		{
			Name: "max_inactivity_duration", Address: []string{"wireFormat.maxInactivityDuration"}, Scope: ScopeAddress, Kind: options.Duration,
			Default: "30s", Allowed: atLeastZeroDuration,
			Effect: "A backend that is silent for this long, and answers no ping meanwhile, is hung: its requests are released and it goes down. 0 turns this off.",
			Access: options.Optional(func(o *Options) **time.Duration { return &o.Nested.MaxInactivityDuration }, options.NotNegative),
		},
	}
}

const (
	trueOrFalse         = "true or false"
	atLeastZero         = "a whole number, at least 0"
	atLeastZeroDuration = "a duration, at least 0"
	attempts            = "-1 (no limit) or a whole number, at least 0"
	allowRules          = "rules such as 10.0.0.0/8, *.app.internal:8080, [2001:db8::/32]:443 or :8000-8999"
)
