// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package child

import (
	"os"

	"github.com/caddyserver/caddy/v2"
)

// terminate stops the apps and ends this process.
func terminate() {
	if caddy.Stop() != nil {
		os.Exit(caddy.ExitCodeFailedQuit)
	}
	os.Exit(caddy.ExitCodeSuccess)
}
