// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "strings"

// Resting returns what reports whether an upstream, by its dial address as Caddy has it,
// gets no requests from a pool at this moment, because it is down there or drained.
func Resting() func(dial string) bool {
	resting := make(map[string]bool)
	for _, e := range pools.list() {
		for _, u := range e.pool.Stats().Upstreams {
			if !u.Up || u.Drained {
				resting[dialKey(u.Name)] = true
			}
		}
	}
	return func(dial string) bool { return resting[dialKey(dial)] }
}

// dialKey is what the name of a member and Caddy's dial address of the same backend have in
// common: neither scheme nor network, and one spelling of the host.
func dialKey(name string) string {
	if _, hostport, ok := strings.Cut(name, "://"); ok {
		name = hostport
	}
	return strings.ToLower(strings.TrimPrefix(name, "tcp/"))
}
