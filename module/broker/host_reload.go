// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// ErrNoFile says that there is no file to load again.
var ErrNoFile = errors.New("the configuration did not come from a file; post the new one to /load")

// Reload reads the file that the configuration came from again and loads it, as
// `caddy reload` does from outside.
func (c *Hosted) Reload() error {
	a := host.deciding()
	if a == nil || a.Source == nil {
		return fmt.Errorf("reloading child %q: %w", c.name, ErrNoFile)
	}
	if want := a.specs[c.name]; want != nil && !want.External {
		// Caddy loads nothing where the file has not changed, and calls that done.
		if err := c.servable(); err != nil {
			return fmt.Errorf("reloading child %q: %w", c.name, err)
		}
	}
	config, err := Adapt(a.Source.File, a.Source.Adapter)
	if err != nil {
		return fmt.Errorf("reloading child %q: %w", c.name, err)
	}
	if err := caddy.Load(config, false); err != nil {
		return fmt.Errorf("reloading child %q: %w", c.name, err)
	}
	return nil
}

// Adapt adapts file without a line in the log.
func Adapt(file, name string) ([]byte, error) {
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, fmt.Errorf("no config adapter %q in this build", name)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, _, err := adapter.Adapt(body, map[string]any{"filename": file})
	return config, err
}
