// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "slices"

// unbuilt are the options that are read and checked but have no effect yet.
// When membership is built, this file goes, and so does who calls Unbuilt.
var unbuilt = []string{
	"update_uris_supported",
	"update_uris_url",
	"update_uris_allow",
	"rebalance_update_uris",
	"reconnect_supported",
}

// Unbuilt returns those of the given options (names of a Caddyfile) that have
// no effect yet, so that loading can say so.
func Unbuilt(given []string) []string {
	var names []string
	for _, name := range given {
		if slices.Contains(unbuilt, name) {
			names = append(names, name)
		}
	}
	return names
}
