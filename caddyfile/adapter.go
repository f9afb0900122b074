// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/document"
)

func init() {
	caddyconfig.RegisterAdapter(broker.AdapterName, Adapter{})
}

// Adapter is the `broker` config adapter. It reads an ordinary Caddyfile, or a
// JSON configuration, and yields the configuration of the process that supervises
// it, as [broker.Wrap] makes it. What is one already, also of an earlier version, is
// made anew.
type Adapter struct{}

// Adapt turns body into the broker's configuration. The first time in a program that has
// taken another one's place that is what the other one had, whatever the file says.
func (Adapter) Adapt(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	if parent := broker.HandedConfig(); parent != nil {
		return parent, nil, nil
	}
	if options["filename"] == os.DevNull {
		return nil, nil, errors.New("this process was started without a configuration file, so there is none to load again")
	}
	config, warnings, err := adaptInner(body, options)
	if err != nil {
		return nil, warnings, err
	}
	d, err := broker.Unwrap(config)
	if err != nil {
		return nil, warnings, fmt.Errorf("reading adapted config: %w", err)
	}
	if d.Source == nil {
		d = d.From(sourceOf(options))
	}
	parent, err := broker.Wrap(d)
	if err != nil {
		return nil, warnings, fmt.Errorf("reading adapted config: %w", err)
	}
	return parent, warnings, nil
}

// adaptInner yields the plain configuration.
func adaptInner(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		return trimmed, nil, nil
	}
	inner := caddyconfig.GetAdapter("caddyfile")
	if inner == nil {
		return nil, nil, errors.New("the caddyfile adapter is not part of this build")
	}
	return inner.Adapt(body, options)
}

func sourceOf(options map[string]any) *document.Source {
	name, _ := options["filename"].(string)
	if name == "" || name == "-" {
		return nil
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil
	}
	return &document.Source{File: abs, Adapter: broker.AdapterName}
}

// Interface guard
var _ caddyconfig.Adapter = Adapter{}
