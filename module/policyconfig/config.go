// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// Config holds the options of the `failover` selection policy. All are
// optional; an option that is not given has its default.
type Config struct {
	// The first wait of the back-off, between the loss of all backends and the
	// first pass over them. No wait is ever shorter than 10 ms. Default: `10ms`
	InitialReconnectDelay *caddy.Duration `json:"initial_reconnect_delay,omitempty"`

	// The cap of the back-off; at least `initial_reconnect_delay`. While somebody
	// waits for a backend, no wait exceeds one second unless this option is set.
	// Default: `30s`
	MaxReconnectDelay *caddy.Duration `json:"max_reconnect_delay,omitempty"`

	// Whether the wait grows from pass to pass. If false, every wait is
	// `initial_reconnect_delay`. Default: `true`
	UseExponentialBackOff *bool `json:"use_exponential_backoff,omitempty"`

	// By how much the wait grows from pass to pass; at least 1. Default: `2.0`
	ReconnectDelayExponent *float64 `json:"reconnect_delay_exponent,omitempty"`

	// The share, from 0 to 1, by which each wait is made shorter or longer at
	// random, so that balancers do not return to a backend together. 0 makes waits
	// exact. Default: `0.2`
	ReconnectJitter *float64 `json:"reconnect_jitter,omitempty"`

	// After this many failed passes in a row, waiting requests get an error; -1
	// is for no limit. The pool goes on trying and heals by itself. With 0,
	// nothing fails over: a request gets the one backend that its client has, and
	// if that fails, the error; the client's next request takes the first
	// eligible backend. Default: `-1`
	MaxReconnectAttempts *int `json:"max_reconnect_attempts,omitempty"`

	// The same limit until the pool has reached a backend for the first time: -1
	// is for no limit, 0 and 1 for one pass. Default: `max_reconnect_attempts`
	StartupMaxReconnectAttempts *int `json:"startup_max_reconnect_attempts,omitempty"`

	// Whether each client has an order of backends of its own, which is random
	// but the same at any time, so that clients spread evenly and stay. If false,
	// the list is tried from left to right. Default: `true`
	Randomize *bool `json:"randomize,omitempty"`

	// Whether clients return to a priority backend by themselves once it is
	// ready; see `priority_uris` and `failback_delay`. Default: `false`
	PriorityBackup *bool `json:"priority_backup,omitempty"`

	// The priority backends in the order of preference, each as a dial address
	// (`10.0.0.1:8080`) or with its scheme (`http://10.0.0.1:8080`). One that is
	// not an upstream of the proxy joins the list at its end. Default: the first
	// address
	PriorityURIs []string `json:"priority_uris,omitempty"`

	// How long a priority backend must have answered pings before clients return
	// to it. Default: `1s`
	FailbackDelay *caddy.Duration `json:"failback_delay,omitempty"`

	// Whether warm connections to the next backends are held, so that the first
	// request after a failover finds one open. Default: `false`
	Backup *bool `json:"backup,omitempty"`

	// To how many backends a warm connection is held; at least 1. Default: `1`
	BackupPoolSize *int `json:"backup_pool_size,omitempty"`

	// How long a request may be without an established backend connection:
	// passes, dials and waiting, also between two sends; -1 is for as long as the
	// client waits. Until the pool has reached a backend for the first time, a
	// request waits at most 5 seconds unless this or
	// `startup_max_reconnect_attempts` is set. Default: `-1`
	Timeout *caddy.Duration `json:"timeout,omitempty"`

	// How many requests may wait for a backend; the next one is answered 503 at
	// once. Default: `4096`
	MaxWaiting *int `json:"max_waiting,omitempty"`

	// Whether request bodies are kept so that a request in flight can be sent
	// again. Turning this on is also the operator's statement that all backends
	// honour the `Idempotency-Key` header against one shared store.
	// Default: `false`
	TrackMessages *bool `json:"track_messages,omitempty"`

	// Bytes for kept bodies in the whole pool; one request gets at most an
	// eighth. A body that does not fit is sent on, but cannot be sent again.
	// Default: `131072`
	MaxCacheSize *int64 `json:"max_cache_size,omitempty"`

	// Whether addresses that backends announce are accepted. Default: `true`
	UpdateURIsSupported *bool `json:"update_uris_supported,omitempty"`

	// Where a list with further addresses is: an http or https URL, a file URL,
	// or the path of a file. Default: none
	UpdateURIsURL string `json:"update_uris_url,omitempty"`

	// What an announced address may name, as rules such as `10.0.0.0/8`,
	// `*.app.internal:8080`, `[2001:db8::/32]:443` or `:8000-8999`. A rule without
	// a port means the configured ports, a rule without a host the configured
	// hosts. Default: the configured hosts and ports
	UpdateURIsAllow []string `json:"update_uris_allow,omitempty"`

	// What finds further addresses: `mdns` and a service, such as
	// `mdns _http._tcp`, for the instances of that service that multicast DNS
	// finds on the local network. `update_uris_allow` has to name them, since
	// anybody there may answer. Default: none
	Discovery string `json:"discovery,omitempty"`

	// Whether clients spread again when the list at `update_uris_url` has
	// changed. Default: `true`
	RebalanceUpdateURIs *bool `json:"rebalance_update_uris,omitempty"`

	// Whether a backend may ask for its clients to be moved to another member of
	// the pool. Default: `true`
	ReconnectSupported *bool `json:"reconnect_supported,omitempty"`

	// A warning is logged at the first failed pass and at every one whose number
	// is a multiple of this, at most once in ten seconds. 0 and below turn these
	// warnings off. Default: `10`
	WarnAfterReconnectAttempts *int `json:"warn_after_reconnect_attempts,omitempty"`

	// Options for all addresses, announced ones included. They win over those of
	// `address_options`. Default: none
	Nested *AddressOptions `json:"nested,omitempty"`

	// Options for single addresses, by dial address such as `10.0.0.1:8080` or
	// `unix//run/app.sock`. Default: none
	AddressOptions map[string]*AddressOptions `json:"address_options,omitempty"`

	// Who is "the client" that stays on a backend:
	//
	// - `client_ip`: who has the client's address; IPv6 addresses count by /64
	// - `cookie NAME`: who holds the cookie, which the policy sets
	// - `header NAME`: who sends the same value of that header
	// - `request`: nobody; each request is a client of its own
	// - `pool`: all clients are one, and move together
	//
	// Default: `client_ip` with `randomize`, else `pool`
	Affinity string `json:"affinity,omitempty"`

	// The method and the URI of the request that asks a backend whether it is
	// alive. Any status is an answer. Name a health URI where a front server
	// would answer for an application that hangs. Default: `OPTIONS *`
	Ping string `json:"ping,omitempty"`

	// The pool's name: in status, metrics and events, and for the state that
	// survives reloads. Up to 100 letters, digits and any of `-_.:[]`. Handlers
	// share a pool by naming it, with equal options and lists; without a name those
	// share one whose options and lists are equal. Where several pools begin with
	// the same address, a short digest of the list follows the default.
	// Default: host and port of the first address
	Pool string `json:"pool,omitempty"`
}

// AddressOptions holds the options of one address, or of all.
type AddressOptions struct {
	// How many requests the backend may have in progress; 0 is for no limit. A
	// full backend is passed over, and its clients stay its own. Default: `0`
	MaxRequests *int `json:"max_requests,omitempty"`

	// The limit of name lookup, dial and TLS handshake together. Default: `3s`
	ConnectionTimeout *caddy.Duration `json:"connection_timeout,omitempty"`

	// After this long without a response header the request ends with status 504;
	// nothing fails over, and nothing is sent again. 0 is for no limit.
	// Default: `0`
	SoTimeout *caddy.Duration `json:"so_timeout,omitempty"`

	// A backend that is silent for this long, and answers no ping meanwhile, is
	// hung: its requests are released and it goes down. 0 turns this off.
	// Default: `30s`
	MaxInactivityDuration *caddy.Duration `json:"max_inactivity_duration,omitempty"`
}

// options checks the configuration and returns it as complete options, and the
// options of single addresses by dial address.
func (c *Config) options() (address.Options, map[string]address.URIOptions, error) {
	o := address.DefaultOptions()
	for name, v := range givenOptions(c) {
		opt, err := address.LookupOption(address.ScopePool, name)
		if err == nil {
			err = opt.Set(&o, v)
		}
		if err != nil {
			return o, nil, fmt.Errorf("option %s: %w", name, err)
		}
	}
	var err error
	if o.Nested, err = c.Nested.options(); err != nil {
		return o, nil, fmt.Errorf("nested %w", err)
	}
	if err := o.Complete(); err != nil {
		return o, nil, err
	}
	byAddress := make(map[string]address.URIOptions, len(c.AddressOptions))
	for _, addr := range slices.Sorted(maps.Keys(c.AddressOptions)) {
		u, err := address.ParseDial(addr)
		if err != nil {
			return o, nil, fmt.Errorf("address_options: %w", err)
		}
		if _, ok := byAddress[u.Dial()]; ok {
			return o, nil, fmt.Errorf("address_options: %s is there twice, in two spellings", u.Dial())
		}
		if byAddress[u.Dial()], err = c.AddressOptions[addr].options(); err != nil {
			return o, nil, fmt.Errorf("address_options of %s: %w", addr, err)
		}
	}
	return o, byAddress, nil
}

func (c *AddressOptions) options() (address.URIOptions, error) {
	var all address.Options
	if c == nil {
		return all.Nested, nil
	}
	for name, v := range givenOptions(c) {
		opt, err := address.LookupOption(address.ScopeAddress, name)
		if err == nil {
			err = opt.Set(&all, v)
		}
		if err != nil {
			return all.Nested, fmt.Errorf("option %s: %w", name, err)
		}
	}
	return all.Nested, nil
}

// given returns the names of the options that the configuration sets; those for
// all addresses begin with "nested.".
func (c *Config) given() []string {
	var names []string
	for name := range givenOptions(c) {
		names = append(names, name)
	}
	if c.Nested != nil {
		for name := range givenOptions(c.Nested) {
			names = append(names, "nested."+name)
		}
	}
	return names
}
