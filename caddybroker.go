// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package caddybroker plugs the broker into Caddy. It holds nothing but the
// imports, so that `xcaddy build --with` and a blank import find everything.
package caddybroker

import (
	_ "github.com/caddy-broker/caddy-broker/caddyfile" // global option, directive, config adapter
	_ "github.com/caddy-broker/caddy-broker/module"    // app, commands, selection policy, networks
)
