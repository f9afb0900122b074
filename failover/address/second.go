// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strings"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// secondNames are the options of the second family's addresses, with the name
// that the same thing has here. "ha" has none: it turns failover on.
var secondNames = map[string]string{
	"ha":                      "ha",
	"reconnectAttempts":       "max_reconnect_attempts",
	"initialConnectAttempts":  "startup_max_reconnect_attempts",
	"retryInterval":           "initial_reconnect_delay",
	"retryIntervalMultiplier": "reconnect_delay_exponent",
	"maxRetryInterval":        "max_reconnect_delay",
}

// secondOrder has the same names as people are to read them.
var secondOrder = []string{"ha", "reconnectAttempts", "initialConnectAttempts", "retryInterval", "retryIntervalMultiplier", "maxRetryInterval"}

func secondSpelling(name string) string {
	for second, n := range secondNames {
		if n == name {
			return second
		}
	}
	return name
}

// setSecondFamily reads the options of "(uri,...)?ha=true&reconnectAttempts=3".
// Without ha=true and a positive reconnectAttempts nothing fails over. The first
// connection is tried once unless initialConnectAttempts says otherwise.
func (a *Address) setSecondFamily(pairs []pair) error {
	ha := false
	given := make(map[string]bool)
	// Both limits differ from this package's defaults, so they count as given.
	a.Options.MaxReconnectAttempts = 0
	a.Options.StartupMaxReconnectAttempts, a.Options.StartupMaxReconnectAttemptsSet = 1, true
	seen := map[string]string{"max_reconnect_attempts": "", "startup_max_reconnect_attempts": ""}
	for _, p := range pairs {
		name := secondNames[p.name]
		if name == "" {
			return unknownSecondOption(p.name)
		}
		if given[p.name] {
			return fmt.Errorf("option %s is given twice: remove one", p.name)
		}
		given[p.name] = true
		if p.name == "ha" {
			on, err := options.ParseBool(p.value)
			if err != nil {
				return fmt.Errorf("option ha: value %s is not allowed: expecting %s", Quote(p.value), trueOrFalse)
			}
			ha = on
			continue
		}
		if err := table.Lookup(name).Read(&a.Options, p.value, addressUnits); err != nil {
			return fmt.Errorf("option %s: %w", p.name, err)
		}
		seen[name] = p.name
	}
	if !ha || a.Options.MaxReconnectAttempts <= 0 {
		a.Options.MaxReconnectAttempts = 0
		a.Warnings = append(a.Warnings,
			"nothing fails over without ha=true and a reconnectAttempts above 0; write failover:(...) for failover without a limit")
	}
	if a.Options.StartupMaxReconnectAttempts == 0 {
		a.Options.StartupMaxReconnectAttempts = 1
	}
	a.setGiven(seen)
	return nil
}

func unknownSecondOption(name string) error {
	if lookupAddress(ScopePool, name) != nil || strings.HasPrefix(name, "nested.") {
		return fmt.Errorf("option %s goes with failover:(uri,...)?%s=...; without that scheme %s", name, name, options.Allowed(secondOrder))
	}
	return options.Unknown("option", name, secondOrder)
}
