// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// Complete derives what depends on other options and checks that they agree. To
// be called once, when all have been set; errors use the names of a Caddyfile.
func (o *Options) Complete() error { return o.complete(configSpelling) }

func (o *Options) complete(name spelling) error {
	if !o.StartupMaxReconnectAttemptsSet {
		o.StartupMaxReconnectAttempts = o.MaxReconnectAttempts
	}
	if o.MaxReconnectDelay < o.InitialReconnectDelay {
		return fmt.Errorf("options %s and %s contradict each other: a first wait of %s is longer than the longest, %s; raise %[2]s to at least %[3]s",
			name("initial_reconnect_delay"), name("max_reconnect_delay"),
			options.DurationString(o.InitialReconnectDelay), options.DurationString(o.MaxReconnectDelay))
	}
	return o.checkPriority(name)
}

// checkPriority refuses an address that is preferred twice.
func (o *Options) checkPriority(name spelling) error {
	seen := make(map[string]bool, len(o.PriorityURIs))
	for _, u := range o.PriorityURIs {
		if seen[u.Key()] {
			return fmt.Errorf("option %s names %s twice: the order of preference would be unclear; remove one", name("priority_uris"), u.Name())
		}
		seen[u.Key()] = true
	}
	return nil
}

// ResolvePriority gives priority addresses that were written without a scheme
// the one of the pool, and refuses others. It is for options that come from a
// configuration, where the options of an address have a place of their own.
func (o *Options) ResolvePriority(scheme string) error {
	for i := range o.PriorityURIs {
		u := &o.PriorityURIs[i]
		switch u.Scheme {
		case "":
			u.Scheme = scheme
		case scheme, SchemeUnix:
		default:
			return fmt.Errorf("option priority_uris: %s is not an address of this pool, whose scheme is %s: write %s, or give the pool's backends the scheme %s",
				u.Name(), scheme, u.Dial(), u.Scheme)
		}
		if u.Options != (URIOptions{}) {
			return fmt.Errorf("option priority_uris: %s has options there: give them in a block, address %s { }", u, u.Dial())
		}
	}
	return o.checkPriority(configSpelling)
}

// Warnings say which options have no effect because of others. They are for the
// log at load: such options contradict nothing, but they do not do what they seem to.
func (o *Options) Warnings() []string {
	def := DefaultOptions()
	var w []string
	without := func(name, other string) {
		w = append(w, name+" has no effect without "+other)
	}
	if !o.PriorityBackup && len(o.PriorityURIs) > 0 {
		without("priority_uris", "priority_backup")
	}
	if !o.PriorityBackup && o.FailbackDelay != def.FailbackDelay {
		without("failback_delay", "priority_backup")
	}
	if !o.Backup && o.BackupPoolSize != def.BackupPoolSize {
		without("backup_pool_size", "backup")
	}
	if !o.UseExponentialBackOff && o.ReconnectDelayExponent != def.ReconnectDelayExponent {
		without("reconnect_delay_exponent", "use_exponential_backoff")
	}
	if !o.UpdateURIsSupported && len(o.UpdateURIsAllow) > 0 && o.UpdateURIsURL == "" && o.Discovery == "" {
		without("update_uris_allow", "update_uris_supported, update_uris_url or discovery")
	}
	if o.Discovery != "" && len(o.UpdateURIsAllow) == 0 {
		without("discovery", "update_uris_allow")
	}
	return w
}
