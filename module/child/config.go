// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/logfile"
)

// object is a decoded JSON object.
type object = map[string]any

// PrepareConfig turns the configuration that a child shall serve into the one
// that it loads: its admin endpoint is private and persists nothing, its servers
// listen on our networks, and the guard comes before every route.
func PrepareConfig(config []byte, adminSocket string) ([]byte, error) {
	var cfg object
	if err := json.Unmarshal(config, &cfg); err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	if cfg == nil {
		cfg = make(object)
	}
	if err := ExactNames(cfg, "admin", "apps", "logging"); err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	admin := object{"config": object{"persist": false}}
	if adminSocket == "" {
		admin["disabled"] = true
	} else {
		admin["listen"] = "unix/" + adminSocket + "|0600"
	}
	cfg["admin"] = admin
	err := within(cfg, "apps", func(apps object) error {
		return within(apps, "http", func(app object) error {
			if err := ExactNames(app, "servers"); err != nil {
				return err
			}
			return within(app, "servers", prepareServers)
		})
	})
	if err == nil {
		err = within(cfg, "logging", prepareLogging)
	}
	if err == nil {
		err = quietAdmin(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the child's configuration: %w", err)
	}
	return json.Marshal(cfg)
}

// prepareLogging replaces the writer of log files, because the processes of a child
// write to them side by side.
func prepareLogging(logging object) error {
	if err := ExactNames(logging, "logs", "sink"); err != nil {
		return err
	}
	share := func(log object) error {
		if err := ExactNames(log, "writer"); err != nil {
			return err
		}
		return within(log, "writer", func(writer object) error {
			if writer["output"] == "file" {
				writer["output"] = logfile.Name
			}
			return nil
		})
	}
	if err := within(logging, "sink", share); err != nil {
		return fmt.Errorf("logging.%w", err)
	}
	return within(logging, "logs", func(logs object) error {
		for name := range logs {
			if err := within(logs, name, share); err != nil {
				return fmt.Errorf("logging.logs.%w", err)
			}
		}
		return nil
	})
}

// quietAdmin keeps the requests to the private admin endpoint out of the default log:
// they are the parent's, which asks whenever it is asked, and has a log of that.
func quietAdmin(cfg object) error {
	at := cfg
	for _, name := range []string{"logging", "logs", "default"} {
		if at[name] == nil {
			at[name] = object{}
		}
		next, ok := at[name].(object)
		if !ok {
			return nil // Caddy says it
		}
		at = next
	}
	if err := ExactNames(at, "include", "exclude"); err != nil {
		return fmt.Errorf("logging.logs.default.%w", err)
	}
	exclude, ok := at["exclude"].([]any)
	if at["include"] == nil && (ok || at["exclude"] == nil) {
		at["exclude"] = append(exclude, "admin.api")
	}
	return nil
}

func prepareServers(servers object) error {
	for name, value := range servers {
		srv, ok := value.(object)
		if !ok {
			return fmt.Errorf("apps.http.servers.%s: it is %s, not an object", name, kind(value))
		}
		if err := ExactNames(srv, "listen", "routes", "errors"); err != nil {
			return fmt.Errorf("apps.http.servers.%s: %w", name, err)
		}
		if err := prepareListen(srv); err != nil {
			return fmt.Errorf("apps.http.servers.%s.listen: %w", name, err)
		}
		open := isOpen(srv)
		if err := prependGuard(srv, open); err != nil {
			return fmt.Errorf("apps.http.servers.%s.routes: %w", name, err)
		}
		if err := within(srv, "errors", func(errs object) error { return guardErrors(errs, open) }); err != nil {
			return fmt.Errorf("apps.http.servers.%s.errors: %w", name, err)
		}
	}
	return nil
}

// prepareListen rewrites all of a server's addresses: Caddy compares network
// names, and a mixture would make it listen twice for its redirects.
func prepareListen(srv object) error {
	addresses, err := list(srv, "listen")
	if err != nil || addresses == nil {
		return err
	}
	repl := caddy.NewReplacer()
	for i, value := range addresses {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%d: it is %s, not a text", i, kind(value))
		}
		// The network may come from a placeholder, as Caddy allows.
		known, err := repl.ReplaceOrErr(text, true, true)
		if err != nil {
			return err
		}
		addresses[i] = ourNetwork(known)
	}
	return nil
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
func guardErrors(errs object, open bool) error {
	if err := ExactNames(errs, "routes"); err != nil {
		return err
	}
	if routes, err := list(errs, "routes"); err != nil || len(routes) == 0 {
		return err
	}
	return prependGuard(errs, open)
}

// prependGuard puts the guard before all routes of a server, or those for errors; open
// is [Guard.Open].
func prependGuard(srv object, open bool) error {
	routes, err := list(srv, "routes")
	if err != nil {
		return err
	}
	guard := object{"handler": GuardName}
	if open {
		guard["open"] = true
	}
	srv["routes"] = append([]any{object{"handle": []any{guard}}}, routes...)
	return nil
}

// ExactNames gives members of a JSON object the spelling in which they are looked
// up: Caddy knows the names of its fields in any case. One that is there in two
// spellings is an error, because Caddy would mix their values.
func ExactNames[V any](obj map[string]V, names ...string) error {
	for _, name := range names {
		for key, value := range obj {
			if key == name || !strings.EqualFold(key, name) {
				continue
			}
			if _, twice := obj[name]; twice {
				return fmt.Errorf("%s is there in two spellings", name)
			}
			obj[name] = value
			delete(obj, key)
		}
	}
	return nil
}

// within applies f to the object at key, if there is one.
func within(obj object, key string, f func(object) error) error {
	value := obj[key]
	if value == nil {
		return nil
	}
	inner, ok := value.(object)
	if !ok {
		return fmt.Errorf("%s: it is %s, not an object", key, kind(value))
	}
	return f(inner)
}

// list is the array at key, nil if there is none.
func list(obj object, key string) ([]any, error) {
	value := obj[key]
	if value == nil {
		return nil, nil
	}
	array, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("it is %s, not an array", kind(value))
	}
	return array, nil
}

// kind says what a decoded JSON value is.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
