// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/module"
)

// parseNetwork parses the block of the global option broker:
//
//	network {
//		name      <name>
//		advertise <address...>
//		bind      <host:port>
//		seeds     <host:port...>
//		key       <secret>
//		update_cluster_clients           [true|false]
//		update_cluster_clients_on_remove [true|false]
//		rebalance_cluster_clients        [true|false]
//		update_cluster_filter            <regexp...>
//	}
func parseNetwork(d *caddyfile.Dispenser, app *module.App) error {
	if app.Network != nil {
		return d.Err("network is already specified")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	n := new(module.Network)
	app.Network = n
	texts := map[string]*string{"name": &n.Name, "bind": &n.Bind, "key": &n.Key}
	lists := map[string]*[]string{"advertise": &n.Advertise, "seeds": &n.Seeds, "update_cluster_filter": &n.UpdateClusterFilter}
	flags := map[string]*bool{
		"update_cluster_clients":           &n.UpdateClusterClients,
		"update_cluster_clients_on_remove": &n.UpdateClusterClientsOnRemove,
		"rebalance_cluster_clients":        &n.RebalanceClusterClients,
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		args := d.RemainingArgs()
		if list := lists[name]; list != nil {
			if len(args) == 0 {
				return d.ArgErr()
			}
			*list = append(*list, args...)
			continue
		}
		if seen[name] {
			return d.Errf("%s is already specified", name)
		}
		seen[name] = true
		switch text, flag := texts[name], flags[name]; {
		case text != nil && len(args) == 1:
			*text = args[0]
		case text != nil:
			return d.ArgErr()
		case flag != nil && len(args) == 0:
			*flag = true
		case flag != nil && len(args) == 1:
			v, err := strconv.ParseBool(args[0])
			if err != nil || args[0] != "true" && args[0] != "false" {
				return d.Errf("%s %s: expecting true or false", name, args[0])
			}
			*flag = v
		case flag != nil:
			return d.ArgErr()
		default:
			return d.Errf("unrecognized network option %q: it is none of name, advertise, bind, seeds, key, update_cluster_clients, "+
				"update_cluster_clients_on_remove, rebalance_cluster_clients, update_cluster_filter", name)
		}
	}
	if err := n.Check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
