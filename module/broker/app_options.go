// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/internal/environment"
	"github.com/caddy-broker/caddy-broker/module/internal/memory"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

// ChildOptions say how a child is supervised. Given for the app they are the
// defaults of every child.
type ChildOptions struct {
	// Standby is how many spare processes are kept, loaded and warm, but not
	// accepting until the active one dies. Default: 0. Not for a `command`.
	Standby *int `json:"standby,omitempty"`
	// RestartDelay is the time between a crash and the next start; a standby is
	// promoted at once instead. Default: 2s.
	RestartDelay *caddy.Duration `json:"restart_delay,omitempty"`
	// MaxRestartDelay caps the delay, which doubles, spread by 20 %, each time a
	// child dies before `restart_reset`. Equal to `restart_delay`, the delay is
	// always that. Default: 1m.
	MaxRestartDelay *caddy.Duration `json:"max_restart_delay,omitempty"`
	// RestartReset is how long a child must have been ready for the delay to start
	// over. Default: 10s.
	RestartReset *caddy.Duration `json:"restart_reset,omitempty"`
	// ReadyTimeout is how long a child may take to get ready; one that takes longer
	// is killed and counts as crashed. Default: 30s.
	ReadyTimeout *caddy.Duration `json:"ready_timeout,omitempty"`
	// Watchdog is how long a child may go without a heartbeat; one that hangs is
	// ended with a goroutine dump and restarted. `-1` disables it. Default: 15s.
	Watchdog *caddy.Duration `json:"watchdog,omitempty"`
	// DrainTimeout is how long requests in progress in a replaced child may take;
	// 0 is for ever. Default: 1m, or Caddy's `grace_period` or the longest
	// `stream_close_delay` of the configuration, where they are longer.
	DrainTimeout *caddy.Duration `json:"drain_timeout,omitempty"`
	// StopTimeout turns an immediate stop into a forced one after this time; 0
	// never does by itself. Default: 0.
	StopTimeout *caddy.Duration `json:"stop_timeout,omitempty"`
	// MaxGenerations bounds the processes that serve users at the same time: the active
	// one, and those that were replaced within the last ten seconds. At that many a
	// replacement waits, for ten seconds at most, and the oldest one ends its streams.
	// Default: 3.
	MaxGenerations *int `json:"max_generations,omitempty"`
	// MaxDrains bounds the replaced processes that still finish requests, downloads or
	// streams, each of which keeps its memory. At that many the oldest ends its
	// streams, and replacements fail until one has ended. Default: 64.
	MaxDrains *int `json:"max_drains,omitempty"`
	// Replace says how a process is replaced: `overlap`, the new one is loaded while
	// the old one serves, so that no request waits; or `stop_first`, for what locks
	// something for itself: the old one finishes its requests in progress and ends
	// before the new one starts, and who comes meanwhile waits. There can be no
	// standby then. Default: `stop_first` where a module is configured that is known
	// to need it, such as `acme_server`; else `overlap`.
	Replace string `json:"replace,omitempty"`
	// MaxMemory is how many bytes of memory the process that serves may have of its own.
	// One that has more for three seconds is replaced without loss. Linux only. Default:
	// no limit.
	MaxMemory *int64 `json:"max_memory,omitempty"`
	// MaxMemoryInterval is the least time between two of these replacements. Default: 1m.
	MaxMemoryInterval *caddy.Duration `json:"max_memory_interval,omitempty"`
	// GC is how much garbage may gather, in percent of what is alive, before it is
	// collected; or `auto`: 400 where there is room, less near the limit, 100 at least. The
	// variable GOGC wins. Default: `auto`. Not for a `command`.
	GC string `json:"gc,omitempty"`
	// HALog is the file that records the child's life, relative to the working
	// directory; `off` disables it. Default: broker_ha.log for the child `default`,
	// off for the others.
	HALog *string `json:"ha_log,omitempty"`
	// User makes the child run as this user, with its groups. The parent must be root.
	User string `json:"user,omitempty"`
	// Env adds to the child's environment, which has few of this process's variables:
	// those that programs and Caddy need, and those that the child's configuration uses
	// (`{env.NAME}`). A value may use others, which hands one over: `{env.NAME}`.
	Env map[string]string `json:"env,omitempty"`
}

// WatchdogOff is the value of Watchdog that disables it.
const WatchdogOff = caddy.Duration(-1)

// DefaultHALog is the HA log of the child `default`.
const DefaultHALog = "broker_ha.log"

// DefaultChild is the name of the child that runs the user's sites.
const DefaultChild = "default"

// childSpec is what a configuration wants of one child.
type childSpec struct {
	*supervisor.Spec
	haLog string // empty is none
	gc    int    // percent; 0 is auto
	locks string // the module for which it is stopped before it is replaced; empty is none
}

// withDefaults is o with what it leaves open taken from d.
func (o ChildOptions) withDefaults(d ChildOptions) ChildOptions {
	own, def := reflect.ValueOf(&o).Elem(), reflect.ValueOf(d)
	for i := range own.NumField() {
		if own.Type().Field(i).Name != "HALog" && own.Field(i).IsZero() {
			own.Field(i).Set(def.Field(i))
		}
	}
	return o
}

// childSpecs checks all children and says what to run.
func (a *App) childSpecs() (map[string]*childSpec, error) {
	specs := make(map[string]*childSpec, len(a.Children))
	for name, c := range a.Children {
		spec, err := a.childSpec(name, c)
		if err != nil {
			return nil, err
		}
		specs[name] = spec
	}
	for name, spec := range specs {
		if err := divideMemory(specs, name, spec); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

// childSpec checks one child and says what to run.
func (a *App) childSpec(name string, c *Child) (*childSpec, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	opts := c.optionsWith(a.ChildOptions)
	if name == DefaultChild && opts.HALog == nil {
		opts.HALog = a.HALog
	}
	if override := overrides.Load(); name == DefaultChild && override != nil {
		opts = override.apply(opts)
	}
	spec, err := c.spec(name, opts, a.secrets()...)
	if err == nil {
		err = checkRoot(opts.User)
	}
	if err == nil && name == DefaultChild {
		err = a.prove(spec.Spec)
	}
	if err != nil {
		return nil, fmt.Errorf("child %q: %w", name, err)
	}
	return spec, nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/?#% \t\n") {
		return fmt.Errorf("child name %q: a name is not empty and has no blank and none of / ? # %%", name)
	}
	return nil
}

// Check reports whether a child of that name could be run with what defaults give
// for the options it leaves open.
func (c *Child) Check(name string, defaults ChildOptions) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := c.spec(name, c.optionsWith(defaults))
	return err
}

// optionsWith are the child's options, where the spares of the broker are not
// wanted of other programs.
func (c *Child) optionsWith(defaults ChildOptions) ChildOptions {
	opts := c.ChildOptions.withDefaults(defaults)
	if c.Command != nil {
		opts.Standby, opts.GC = c.Standby, c.GC
	}
	return opts
}

// spec is what a child of that name with these options runs. The secrets are those of
// this process, which no child is given.
func (c *Child) spec(name string, o ChildOptions, secrets ...string) (_ *childSpec, err error) {
	if o.Watchdog != nil && *o.Watchdog == 0 { // in JSON, 0 is off as well
		o.Watchdog = new(WatchdogOff)
	}
	if err := childTable.Check(&o); err != nil {
		return nil, err
	}
	log := o.HALog
	if log == nil && name == DefaultChild {
		log = new(DefaultHALog)
	}
	if o.DrainTimeout == nil {
		o.DrainTimeout = new(max(*childDefaults.DrainTimeout, caddy.Duration(child.GraceOf(c.Config))))
	}
	followed := o.MaxRestartDelay == nil // the cap, where it was left open
	o = o.withDefaults(childDefaults)
	if followed {
		o.MaxRestartDelay = new(max(*o.MaxRestartDelay, *o.RestartDelay))
	}
	if err := o.contradiction(); err != nil {
		return nil, err
	}
	s := &childSpec{Spec: &supervisor.Spec{
		User:    o.User,
		Standby: *o.Standby,
		Restart: restart.Policy{
			Delay:    time.Duration(*o.RestartDelay),
			MaxDelay: time.Duration(*o.MaxRestartDelay),
			Reset:    time.Duration(*o.RestartReset),
		},
		ReadyTimeout: time.Duration(*o.ReadyTimeout),
		Watchdog:     max(time.Duration(*o.Watchdog), 0), // off is below
		DrainTimeout: time.Duration(*o.DrainTimeout),
		StopTimeout:  time.Duration(*o.StopTimeout),

		MaxMemory:         value(o.MaxMemory),
		MaxMemoryInterval: time.Duration(*o.MaxMemoryInterval),
		Env:               environment.Child(c.Config, o.Env, secrets...),
		MaxGenerations:    *o.MaxGenerations,
		MaxDrains:         *o.MaxDrains,
	}}
	if log != nil && *log != "off" {
		s.haLog = *log
	}
	if s.gc, err = memory.ParseGC(o.GC); err != nil {
		return nil, fmt.Errorf("option gc: %w", err)
	}
	if err := c.replacement(s, o.Replace); err != nil {
		return nil, err
	}
	return s, c.program(s.Spec)
}

// program says what the child executes.
func (c *Child) program(s *supervisor.Spec) error {
	switch {
	case c.Config != nil && c.Command != nil:
		return fmt.Errorf("options config and command contradict each other: a child runs Caddy with a config, or a command, not both")
	case c.Config != nil && len(c.Listen) > 0:
		return fmt.Errorf("option listen: value %q is not allowed: a Caddy child listens where its sites say; listen is for a command", c.Listen[0])
	case c.Config != nil:
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		s.Command = []string{self, "broker", "run", "--child"}
		s.Config = c.Config
		return nil
	case len(c.Command) == 0:
		return fmt.Errorf("there is nothing to run: give it a command")
	case s.Standby > 0:
		return fmt.Errorf("option standby: value %d is not allowed: only a Caddy child can be kept from accepting; a command has no spares", s.Standby)
	case c.GC != "":
		return fmt.Errorf("option gc: value %q is not allowed: only a Caddy child can be told; give a command what it reads, such as env GOGC 400", c.GC)
	}
	if err := supervisor.IsExecutable(c.Command[0]); err != nil {
		return fmt.Errorf("option command: program %q: %w", c.Command[0], err)
	}
	s.External = true
	s.Command = c.Command
	s.Listen = c.Listen
	return supervisor.CheckListen(c.Listen)
}

// checkRoot reports whether this process can start a child as that user. It is a
// matter of the process that runs the broker, not of one that adapts its file.
func checkRoot(user string) error {
	if user != "" && os.Geteuid() != 0 {
		return fmt.Errorf("option user: value %q is not allowed: only root can start a child as another user; run the broker as root or remove the option", user)
	}
	return nil
}
