// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
)

// UnmarshalOption reads the option at d's cursor, one of the global option broker.
// given notes what its block has had.
func (a *App) UnmarshalOption(d *caddyfile.Dispenser, given map[string]bool) error {
	known := append(append(childTable.Names(), appTable.Names()...), "child", "network", "probe")
	if d.Val() == "probe" {
		p, err := probe.Unmarshal(d)
		a.Probes = append(a.Probes, p)
		return err
	}
	if appTable.Lookup(d.Val()) != nil {
		return block.Read(d, appTable, a, given, known)
	}
	return a.ChildOptions.unmarshal(d, given, known)
}

// UnmarshalOption reads the option at d's cursor, one of a block child. given
// notes what that has had.
func (c *Child) UnmarshalOption(d *caddyfile.Dispenser, given map[string]bool) error {
	known := append(programTable.Names(), childTable.Names()...)
	if programTable.Lookup(d.Val()) != nil {
		return block.Read(d, programTable, c, given, known)
	}
	return c.ChildOptions.unmarshal(d, given, known)
}

func (o *ChildOptions) unmarshal(d *caddyfile.Dispenser, given map[string]bool, known []string) error {
	if err := block.Read(d, childTable, o, given, known); err != nil {
		return err
	}
	if err := o.contradiction(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// UnmarshalJSON reads the app's configuration.
func (a *App) UnmarshalJSON(data []byte) error {
	type plain App
	besides := map[string]options.Member{"off": {Expecting: "true or false"}, "source": {}, "admin_listen": {}, "children": {Named: true}, "network": {}, "probes": {}}
	for i := range appTable {
		besides[appTable[i].Name] = appTable[i].Member()
	}
	return options.Decode(data, (*plain)(a), func(name string) (options.Member, error) {
		return lookupMember(childTable, name, besides)
	})
}

// UnmarshalJSON reads a child's configuration.
func (c *Child) UnmarshalJSON(data []byte) error {
	type plain Child
	besides := map[string]options.Member{"config": {}, "verbatim": {Expecting: "true or false"}}
	for i := range programTable {
		besides[programTable[i].Name] = programTable[i].Member()
	}
	return options.Decode(data, (*plain)(c), func(name string) (options.Member, error) {
		return lookupMember(childTable, name, besides)
	})
}

// lookupMember finds a member of a JSON object that holds the options of a table,
// and besides them others.
func lookupMember[S any](table options.Table[S], name string, besides map[string]options.Member) (options.Member, error) {
	if row := table.Lookup(name); row != nil {
		return row.Member(), nil
	}
	if member, ok := besides[name]; ok {
		return member, nil
	}
	return options.Member{}, options.Unknown("option", name, append(table.Names(), slices.Sorted(maps.Keys(besides))...))
}

// contradiction is the error of options that were given and do not agree.
func (o *ChildOptions) contradiction() error {
	if o.RestartDelay == nil || o.MaxRestartDelay == nil || *o.MaxRestartDelay >= *o.RestartDelay {
		return nil
	}
	first, longest := options.Text(time.Duration(*o.RestartDelay)), options.Text(time.Duration(*o.MaxRestartDelay))
	return fmt.Errorf("options restart_delay and max_restart_delay contradict each other: a first delay of %s is longer than the longest, %s; "+
		"raise max_restart_delay to at least %[1]s", first, longest)
}
