// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-broker/caddy-broker/module/document"
)

// ErrNoFile says that there is no file to load again.
var ErrNoFile = errors.New("the configuration did not come from a file; post the new one to /load")

// Reload reads the file that the configuration came from again and loads it, as
// `caddy reload` does from outside.
func (c *Hosted) Reload(ctx context.Context) error {
	shown := Shown()
	if shown == nil || shown.Source == nil {
		return fmt.Errorf("reloading child %q: %w", c.name, ErrNoFile)
	}
	d, err := Read(*shown.Source)
	if err != nil {
		Unreadable(err)
	} else {
		err = Change(ctx, document.Request{Whole: d, By: "reload of the file"})
	}
	if err != nil {
		return fmt.Errorf("reloading child %q: %w", c.name, err)
	}
	return nil
}

// Read reads a user's configuration from a file, without a line in the log.
func Read(from document.Source) (*document.Document, error) {
	text, err := os.ReadFile(from.File)
	if err != nil {
		return nil, err
	}
	if from.Adapter != "" {
		adapter := caddyconfig.GetAdapter(from.Adapter)
		if adapter == nil {
			return nil, fmt.Errorf("no config adapter %q in this build", from.Adapter)
		}
		if text, _, err = adapter.Adapt(text, map[string]any{"filename": from.File}); err != nil {
			return nil, err
		}
	}
	d, err := Unwrap(text)
	if err != nil {
		return nil, err
	}
	return d.From(&from), nil
}

// Reloadable reports whether the configuration came from a file that can be read again.
func Reloadable() bool {
	shown := Shown()
	return shown != nil && shown.Source != nil
}
