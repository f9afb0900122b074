// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/cluster"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("broker", parseOption)
}

// parseOption parses the global option, `broker off` or
//
//	broker {
//		standby           <count>
//		restart_delay     <duration>
//		max_restart_delay <duration>
//		restart_reset     <duration>
//		ready_timeout     <duration>
//		watchdog          <duration>|off
//		drain_timeout     <duration>
//		stop_timeout      <duration>
//		replace           overlap|stop_first
//		ha_log            <path>|off
//		user              <name>
//		env               <key> <value>
//		probe <method> <url> {
//			<see [probe.Unmarshal]>
//		}
//		child <name> {
//			command <program> [<args...>]
//			listen  <address...>
//			<options as above>
//		}
//		network {
//			<see [cluster.Network.UnmarshalCaddyfileBlock]>
//		}
//	}
func parseOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option's name
	if existing != nil {
		return nil, d.Err("broker is already specified: put all its options into one block")
	}
	app := new(broker.App)
	if d.NextArg() {
		return off(d)
	}
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "network" {
			if err := parseNetwork(d, app); err != nil {
				return nil, err
			}
			continue
		}
		if d.Val() == "child" {
			if err := parseChild(d, app); err != nil {
				return nil, err
			}
			continue
		}
		if err := app.UnmarshalOption(d, given); err != nil {
			return nil, err
		}
	}
	sites := &broker.Child{Config: json.RawMessage("{}")}
	if err := sites.Check(broker.DefaultChild, app.ChildOptions); err != nil {
		return nil, d.WrapErr(err)
	}
	value, err := json.Marshal(app)
	if err != nil {
		return nil, d.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "broker", Value: value}, nil
}

// off parses what follows on the line of the option: nothing is supervised.
func off(d *caddyfile.Dispenser) (any, error) {
	if d.Val() != "off" {
		return nil, d.Errf("broker %s: its options are in a block; only off is said on its line", d.Val())
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return nil, d.Err("broker off has no options: nothing is supervised")
	}
	value, err := json.Marshal(&broker.App{Off: true})
	if err != nil {
		return nil, d.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "broker", Value: value}, nil
}

func parseChild(d *caddyfile.Dispenser, app *broker.App) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if name == broker.DefaultChild {
		return d.Errf("child %q runs the sites of this Caddyfile; give its options in the broker block itself", name)
	}
	if app.Children[name] != nil {
		return d.Errf("child %q is already specified", name)
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	child := new(broker.Child)
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := child.UnmarshalOption(d, given); err != nil {
			return err
		}
	}
	if child.Command == nil {
		return d.Errf("child %q has no command: name the program that it runs", name)
	}
	if err := child.Check(name, app.ChildOptions); err != nil {
		return d.Errf("child %q: %v", name, err)
	}
	if app.Children == nil {
		app.Children = make(map[string]*broker.Child)
	}
	app.Children[name] = child
	return nil
}

func parseNetwork(d *caddyfile.Dispenser, app *broker.App) error {
	if app.Network != nil {
		return d.Err("network is already specified")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	app.Network = new(cluster.Network)
	return app.Network.UnmarshalCaddyfileBlock(d)
}
