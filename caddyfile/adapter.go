// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/child"
)

func init() {
	caddyconfig.RegisterAdapter(adapterName, Adapter{})
}

const adapterName = "broker"

// Adapter is the `broker` config adapter. It reads an ordinary Caddyfile, or a
// JSON configuration, and yields the configuration of a broker: everything that
// serves, logs and stores moves into the configuration of one child named
// `default`; the broker itself keeps the admin endpoint, and copies of events
// and storage. It logs to standard error, in the level and format of the default
// log, and never to a file that a child writes.
type Adapter struct{}

// Adapt turns body into the broker's configuration.
func (Adapter) Adapt(body []byte, options map[string]any) ([]byte, []caddyconfig.Warning, error) {
	config, warnings, err := adaptInner(body, options)
	if err != nil {
		return nil, warnings, err
	}
	broker, err := split(config, sourceOf(options))
	return broker, warnings, err
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

func sourceOf(options map[string]any) *broker.Source {
	name, _ := options["filename"].(string)
	if name == "" || name == "-" {
		return nil
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil
	}
	return &broker.Source{File: abs, Adapter: adapterName}
}

// split makes the broker's configuration of a plain one.
func split(config []byte, source *broker.Source) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, fmt.Errorf("reading adapted config: %w", err)
	}
	if err := child.ExactNames(whole, "admin", "apps", "logging", "storage"); err != nil {
		return nil, fmt.Errorf("reading adapted config: %w", err)
	}
	var apps map[string]json.RawMessage
	if raw, ok := whole["apps"]; ok {
		if err := json.Unmarshal(raw, &apps); err != nil {
			return nil, fmt.Errorf("reading adapted config: apps: %w", err)
		}
	}
	app := new(broker.App)
	if raw, ok := apps["broker"]; ok {
		if err := caddy.StrictUnmarshalJSON(raw, app); err != nil {
			return nil, fmt.Errorf("reading adapted config: apps.broker: %w", err)
		}
		delete(apps, "broker")
	}
	if app.Children[broker.DefaultChild] != nil {
		return nil, errors.New("the configuration has a child named \"default\" already: it is a broker's own, load it without --adapter broker")
	}

	parent := make(map[string]any)
	for _, key := range []string{"admin", "storage"} {
		if raw, ok := whole[key]; ok {
			parent[key] = raw
		}
	}
	listen, err := adminListen(whole["admin"])
	if err != nil {
		return nil, err
	}
	app.AdminListen = listen
	delete(whole, "admin")
	logging, err := parentLogging(whole["logging"])
	if err != nil {
		return nil, err
	}
	if logging != nil {
		parent["logging"] = logging
	}

	delete(whole, "apps")
	child := make(map[string]any, len(whole)+1)
	for key, raw := range whole {
		child[key] = raw
	}
	if len(apps) > 0 {
		child["apps"] = apps
	}
	childConfig, err := json.Marshal(child)
	if err != nil {
		return nil, fmt.Errorf("writing the child's config: %w", err)
	}
	if app.Children == nil {
		app.Children = make(map[string]*broker.Child)
	}
	app.Children[broker.DefaultChild] = &broker.Child{Config: childConfig}
	app.Source = source

	parentApps := map[string]any{"broker": app}
	if raw, ok := apps["events"]; ok {
		parentApps["events"] = raw
	}
	parent["apps"] = parentApps
	return json.Marshal(parent)
}

// adminListen is the address of the admin endpoint, "" if there is none.
func adminListen(raw json.RawMessage) (string, error) {
	admin := make(map[string]json.RawMessage)
	if raw != nil {
		if err := json.Unmarshal(raw, &admin); err != nil {
			return "", fmt.Errorf("reading adapted config: admin: %w", err)
		}
	}
	if err := child.ExactNames(admin, "disabled", "listen"); err != nil {
		return "", fmt.Errorf("reading adapted config: admin: %w", err)
	}
	var disabled bool
	listen := ""
	for key, value := range map[string]any{"disabled": &disabled, "listen": &listen} {
		if raw, ok := admin[key]; ok {
			if err := json.Unmarshal(raw, value); err != nil {
				return "", fmt.Errorf("reading adapted config: admin.%s: %w", key, err)
			}
		}
	}
	if disabled {
		return "", nil
	}
	return cmp.Or(listen, caddy.DefaultAdminListen), nil
}

// parentLogging is the default log's level and format on standard error.
func parentLogging(raw json.RawMessage) (any, error) {
	if raw == nil {
		return nil, nil
	}
	var logging struct {
		Logs map[string]map[string]json.RawMessage `json:"logs"`
	}
	if err := json.Unmarshal(raw, &logging); err != nil {
		return nil, fmt.Errorf("reading adapted config: logging: %w", err)
	}
	def := map[string]any{"writer": map[string]string{"output": "stderr"}}
	own, keys := logging.Logs["default"], []string{"level", "encoder"}
	if err := child.ExactNames(own, keys...); err != nil {
		return nil, fmt.Errorf("reading adapted config: logging.logs.default: %w", err)
	}
	for _, key := range keys {
		if v, ok := own[key]; ok {
			def[key] = v
		}
	}
	if len(def) == 1 {
		return nil, nil
	}
	return map[string]any{"logs": map[string]any{"default": def}}, nil
}

// Interface guard
var _ caddyconfig.Adapter = Adapter{}
