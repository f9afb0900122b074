// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	_ "github.com/caddy-broker/caddy-broker/module/admin"            // admin API
	_ "github.com/caddy-broker/caddy-broker/module/announce"         // handler broker_uris
	_ "github.com/caddy-broker/caddy-broker/module/broker"           // app
	_ "github.com/caddy-broker/caddy-broker/module/child"            // networks, guard
	_ "github.com/caddy-broker/caddy-broker/module/command"          // commands
	_ "github.com/caddy-broker/caddy-broker/module/console"          // page for operators
	_ "github.com/caddy-broker/caddy-broker/module/internal/adopted" // process 1 of a container
	_ "github.com/caddy-broker/caddy-broker/module/logfile"          // log writer broker_file
	_ "github.com/caddy-broker/caddy-broker/module/proxy"            // selection policy
)
