// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/document"
)

func init() {
	caddy.RegisterModule(new(Loader))
}

// Loader pulls the user's configuration for a process that supervises. Its own
// configuration is written by that process: it stands in the place of the loader that
// the user has configured in `admin.config.load`, and supervises what that one brings.
type Loader struct {
	// LoaderRaw is the user's loader.
	LoaderRaw json.RawMessage `json:"loader" caddy:"namespace=caddy.config_loaders inline_key=module"`
	// Delayed says that it is asked again and again, and not while a configuration is
	// being loaded.
	Delayed bool `json:"delayed,omitempty"`

	loader caddy.ConfigLoader
}

// CaddyModule returns the Caddy module information.
func (*Loader) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.config_loaders.broker", New: func() caddy.Module { return new(Loader) }}
}

// Provision loads the user's loader.
func (l *Loader) Provision(ctx caddy.Context) error {
	module, err := ctx.LoadModule(l, "LoaderRaw")
	if err != nil {
		return fmt.Errorf("loading config loader module: %w", err)
	}
	loader, ok := module.(caddy.ConfigLoader)
	if !ok {
		return fmt.Errorf("loading config loader module: it is a %T", module)
	}
	l.loader = loader
	return nil
}

// LoadConfig makes the configuration of a process that supervises of what the user's
// loader brings, for Caddy to load. One that may wait for its turn takes the way of all
// changes instead, and brings nothing; nor does it bring back what was rolled back, which
// only one who asks for it does.
func (l *Loader) LoadConfig(ctx caddy.Context) ([]byte, error) {
	text, err := l.loader.LoadConfig(ctx)
	if err != nil || text == nil {
		return nil, err
	}
	d, err := Unwrap(text)
	if err != nil {
		return nil, err
	}
	if l.Delayed {
		if host.generations.RolledBack(digest(d)) {
			return nil, nil // it would serve again and again, and be rolled back each time
		}
		// When it serves, the configuration that has pulled it is over, and its context.
		return nil, Change(context.WithoutCancel(ctx), document.Request{Whole: d, By: "the loader in admin.config.load"})
	}
	return Wrap(d)
}

// wrapLoader puts our loader before the user's, if the admin endpoint pulls a
// configuration.
func wrapLoader(value any) any {
	admin, ok := value.(object)
	if !ok {
		return value
	}
	admin, err := spelled(admin, "config")
	if err != nil {
		return value // Caddy says what it makes of that
	}
	config, _ := admin["config"].(object)
	config, err = spelled(config, "load")
	if err != nil || config["load"] == nil {
		return value
	}
	config, err = spelled(config, "load_delay")
	if err != nil {
		return value
	}
	config["load"] = object{"module": "broker", "loader": config["load"], "delayed": isDelay(config["load_delay"])}
	admin["config"] = config
	return admin
}

// isDelay reports whether the value of a duration is more than nothing.
func isDelay(value any) bool {
	text, err := json.Marshal(value)
	var d caddy.Duration
	return err == nil && json.Unmarshal(text, &d) == nil && d > 0
}

// Interface guards
var (
	_ caddy.Provisioner  = (*Loader)(nil)
	_ caddy.ConfigLoader = (*Loader)(nil)
)
