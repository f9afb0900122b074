// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-broker/caddy-broker/module"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("broker", parseOption)
}

// parseOption parses the global option:
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
//		child <name> {
//			command <program> [<args...>]
//			listen  <address...>
//			<options as above>
//		}
//		network {
//			<see parseNetwork>
//		}
//	}
func parseOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option's name
	if existing != nil {
		return nil, d.Err("broker is already specified: put all its options into one block")
	}
	app := new(module.App)
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	seen := make(map[string]bool)
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
		if err := parseChildOption(d, &app.ChildOptions, seen, "child, network"); err != nil {
			return nil, err
		}
	}
	sites := &module.Child{Config: json.RawMessage("{}")}
	if err := sites.Check(module.DefaultChild, app.ChildOptions); err != nil {
		return nil, d.WrapErr(err)
	}
	value, err := json.Marshal(app)
	if err != nil {
		return nil, d.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "broker", Value: value}, nil
}

func parseChild(d *caddyfile.Dispenser, app *module.App) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if name == module.DefaultChild {
		return d.Errf("child %q runs the sites of this Caddyfile; give its options in the broker block itself", name)
	}
	if app.Children[name] != nil {
		return d.Errf("child %q is already specified", name)
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	child := new(module.Child)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "command":
			if child.Command != nil {
				return d.Err("command is already specified")
			}
			if child.Command = d.RemainingArgs(); len(child.Command) == 0 {
				return d.ArgErr()
			}
		case "listen":
			addresses := d.RemainingArgs()
			if len(addresses) == 0 {
				return d.ArgErr()
			}
			child.Listen = append(child.Listen, addresses...)
		default:
			if err := parseChildOption(d, &child.ChildOptions, seen, "command, listen"); err != nil {
				return err
			}
		}
	}
	if child.Command == nil {
		return d.Errf("child %q has no command", name)
	}
	if err := child.Check(name, app.ChildOptions); err != nil {
		return d.Errf("child %q: %v", name, err)
	}
	if app.Children == nil {
		app.Children = make(map[string]*module.Child)
	}
	app.Children[name] = child
	return nil
}

// parseChildOption parses the option at the cursor into o; besides is what else
// is allowed there.
func parseChildOption(d *caddyfile.Dispenser, o *module.ChildOptions, seen map[string]bool, besides string) error {
	option := d.Val()
	if seen[option] && option != "env" {
		return d.Errf("%s is already specified", option)
	}
	seen[option] = true
	args := d.RemainingArgs()
	want := 1
	if option == "env" {
		want = 2
	}
	durations := map[string]**caddy.Duration{
		"restart_delay": &o.RestartDelay, "max_restart_delay": &o.MaxRestartDelay, "restart_reset": &o.RestartReset,
		"ready_timeout": &o.ReadyTimeout, "watchdog": &o.Watchdog, "drain_timeout": &o.DrainTimeout, "stop_timeout": &o.StopTimeout,
	}
	target := durations[option]
	switch option {
	case "standby", "replace", "ha_log", "user", "env":
	default:
		if target == nil {
			return d.Errf("unrecognized broker option %q: it is none of standby, restart_delay, max_restart_delay, restart_reset, "+
				"ready_timeout, watchdog, drain_timeout, stop_timeout, replace, ha_log, user, env, %s", option, besides)
		}
	}
	if len(args) != want {
		return d.Errf("%s: wrong number of arguments: %d given, %d wanted", option, len(args), want)
	}
	switch {
	case option == "standby":
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 {
			return d.Errf("standby %s: not a whole number of at least 0", args[0])
		}
		o.Standby = &n
	case option == "replace":
		if args[0] == "" {
			return d.Err("replace is empty: it is overlap or stop_first")
		}
		o.Replace = args[0]
	case option == "ha_log" && args[0] == "":
		return d.Err("ha_log is empty: name a file, or use `ha_log off`")
	case option == "ha_log":
		o.HALog = &args[0]
	case option == "user":
		o.User = args[0]
	case option == "env":
		if _, twice := o.Env[args[0]]; twice {
			return d.Errf("env %s is already specified", args[0])
		}
		if o.Env == nil {
			o.Env = make(map[string]string)
		}
		o.Env[args[0]] = args[1]
	case option == "watchdog" && args[0] == "off":
		off := module.WatchdogOff
		*target = &off
	default:
		dur, err := caddy.ParseDuration(args[0])
		if err != nil || dur < 0 {
			return d.Errf("%s %s: not a duration of at least 0 such as 500ms, 2s or 1m", option, args[0])
		}
		if option == "watchdog" && dur == 0 {
			return d.Errf("watchdog %s: use `watchdog off` to disable it", args[0])
		}
		v := caddy.Duration(dur)
		*target = &v
	}
	return checkParsed(d, o, option)
}

// checkParsed tells of a value that cannot be at its own line, and of a
// contradiction at the line that completed it.
func checkParsed(d *caddyfile.Dispenser, o *module.ChildOptions, option string) error {
	if option != "max_restart_delay" { // the delay it must not be less than may follow
		if err := (&module.Child{Config: json.RawMessage("{}")}).Check("x", only(o, option)); err != nil {
			return d.WrapErr(err)
		}
	}
	if o.RestartDelay != nil && o.MaxRestartDelay != nil && *o.MaxRestartDelay < *o.RestartDelay {
		return d.Errf("max_restart_delay %s contradicts restart_delay %s: it must not be less",
			time.Duration(*o.MaxRestartDelay), time.Duration(*o.RestartDelay))
	}
	return nil
}

// only is one option of o, the others left open.
func only(o *module.ChildOptions, option string) module.ChildOptions {
	switch option {
	case "standby":
		return module.ChildOptions{Standby: o.Standby}
	case "replace":
		return module.ChildOptions{Replace: o.Replace}
	case "ready_timeout":
		return module.ChildOptions{ReadyTimeout: o.ReadyTimeout}
	case "watchdog":
		return module.ChildOptions{Watchdog: o.Watchdog}
	case "user":
		return module.ChildOptions{User: o.User}
	case "env":
		return module.ChildOptions{Env: o.Env}
	}
	return module.ChildOptions{}
}
