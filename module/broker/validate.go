// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/child"
)

// validateChild checks a child's configuration as `caddy validate` checks any, and
// whether the child could load it.
func validateChild(config []byte) error {
	if _, err := child.PrepareConfig(config, ""); err != nil {
		return err
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &cfg); err != nil {
		return fmt.Errorf("decoding config: %w", err)
	}
	return caddy.Validate(cfg)
}
