// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// PrepareConfig turns the configuration that a child shall serve into the one
// that it loads: its admin endpoint is private and persists nothing, its servers
// listen on our networks, and the guard comes before every route.
func PrepareConfig(config []byte, adminSocket string) ([]byte, error) {
	var cfg map[string]json.RawMessage
	if err := json.Unmarshal(config, &cfg); err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	if cfg == nil {
		cfg = make(map[string]json.RawMessage)
	}
	if err := ExactNames(cfg, "admin", "apps"); err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	admin := map[string]any{"config": map[string]any{"persist": false}}
	if adminSocket == "" {
		admin["disabled"] = true
	} else {
		admin["listen"] = "unix/" + adminSocket + "|0600"
	}
	if err := put(cfg, "admin", admin); err != nil {
		return nil, err
	}
	err := within(cfg, "apps", func(apps map[string]json.RawMessage) error {
		return within(apps, "http", func(app map[string]json.RawMessage) error {
			if err := ExactNames(app, "servers"); err != nil {
				return err
			}
			return within(app, "servers", prepareServers)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	return json.Marshal(cfg)
}

func prepareServers(servers map[string]json.RawMessage) error {
	for name, raw := range servers {
		var srv map[string]json.RawMessage
		if err := json.Unmarshal(raw, &srv); err != nil {
			return fmt.Errorf("apps.http.servers.%s: %w", name, err)
		}
		if srv == nil {
			return fmt.Errorf("apps.http.servers.%s: it is null", name)
		}
		if err := ExactNames(srv, "listen", "routes", "errors"); err != nil {
			return fmt.Errorf("apps.http.servers.%s: %w", name, err)
		}
		if err := prepareListen(srv); err != nil {
			return fmt.Errorf("apps.http.servers.%s.listen: %w", name, err)
		}
		if err := prependGuard(srv); err != nil {
			return fmt.Errorf("apps.http.servers.%s.routes: %w", name, err)
		}
		if err := within(srv, "errors", guardErrors); err != nil {
			return fmt.Errorf("apps.http.servers.%s.errors: %w", name, err)
		}
		if err := put(servers, name, srv); err != nil {
			return err
		}
	}
	return nil
}

// prepareListen rewrites all of a server's addresses: Caddy compares network
// names, and a mixture would make it listen twice for its redirects.
func prepareListen(srv map[string]json.RawMessage) error {
	raw, ok := srv["listen"]
	if !ok {
		return nil
	}
	var addresses []string
	if err := json.Unmarshal(raw, &addresses); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	for i, a := range addresses {
		// The network may come from a placeholder, as Caddy allows.
		known, err := repl.ReplaceOrErr(a, true, true)
		if err != nil {
			return err
		}
		addresses[i] = ourNetwork(known)
	}
	return put(srv, "listen", addresses)
}

// ourNetwork is address on our network of the same kind. An address on a network
// that is neither the system's nor ours stays: its plugin brings the sockets.
func ourNetwork(address string) string {
	network, rest, found := strings.Cut(address, "/")
	if !found {
		return "broker/" + address
	}
	network = strings.ToLower(strings.TrimSpace(network))
	for ours, theirs := range networks {
		if theirs == network {
			return ours + "/" + rest
		}
	}
	return address
}

// guardErrors puts a guard before the routes for errors, if there are any: Caddy
// runs them when the other routes and their guard have returned.
func guardErrors(errs map[string]json.RawMessage) error {
	if err := ExactNames(errs, "routes"); err != nil {
		return err
	}
	var routes []json.RawMessage
	if raw, ok := errs["routes"]; ok {
		if err := json.Unmarshal(raw, &routes); err != nil {
			return err
		}
	}
	if len(routes) == 0 {
		return nil
	}
	return prependGuard(errs)
}

// prependGuard puts the guard before all routes of a server, or those for errors.
func prependGuard(srv map[string]json.RawMessage) error {
	var routes []json.RawMessage
	if raw, ok := srv["routes"]; ok {
		if err := json.Unmarshal(raw, &routes); err != nil {
			return err
		}
	}
	guard := json.RawMessage(`{"handle":[{"handler":"` + GuardName + `"}]}`)
	return put(srv, "routes", append([]json.RawMessage{guard}, routes...))
}

// ExactNames gives members of a JSON object the spelling in which they are looked
// up: Caddy knows the names of its fields in any case. One that is there in two
// spellings is an error, because Caddy would mix their values.
func ExactNames(obj map[string]json.RawMessage, names ...string) error {
	for _, name := range names {
		for key, raw := range obj {
			if key == name || !strings.EqualFold(key, name) {
				continue
			}
			if _, twice := obj[name]; twice {
				return fmt.Errorf("%s is there in two spellings", name)
			}
			obj[name] = raw
			delete(obj, key)
		}
	}
	return nil
}

// within applies f to the object at key, if there is one.
func within(obj map[string]json.RawMessage, key string, f func(map[string]json.RawMessage) error) error {
	raw, ok := obj[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(raw, &inner); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := f(inner); err != nil {
		return err
	}
	return put(obj, key, inner)
}

func put(obj map[string]json.RawMessage, key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	obj[key] = raw
	return nil
}
