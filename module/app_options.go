// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/supervisor"
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
	// 0 is for ever. Default: 1m.
	DrainTimeout *caddy.Duration `json:"drain_timeout,omitempty"`
	// StopTimeout turns an immediate stop into a forced one after this time; 0
	// never does by itself. Default: 0.
	StopTimeout *caddy.Duration `json:"stop_timeout,omitempty"`
	// Replace says how a process is replaced: `overlap`, the new one is loaded while
	// the old one serves, so that nobody waits; or `stop_first`, for what locks
	// something for itself: the old one finishes its requests in progress and ends
	// before the new one starts, and who comes meanwhile waits. There can be no
	// standby then. Default: `stop_first` where a module is configured that is known
	// to need it, such as `acme_server`; else `overlap`.
	Replace string `json:"replace,omitempty"`
	// HALog is the file that records the child's life, relative to the working
	// directory; `off` disables it. Default: broker_ha.log for the child `default`,
	// off for the others.
	HALog *string `json:"ha_log,omitempty"`
	// User makes the child run as this user, with its groups. The parent must be root.
	User string `json:"user,omitempty"`
	// Env adds to the child's environment.
	Env map[string]string `json:"env,omitempty"`
}

// WatchdogOff is the value of Watchdog that disables it.
const WatchdogOff = caddy.Duration(-1)

// defaultHALog is the HA log of the child `default`.
const defaultHALog = "broker_ha.log"

// DefaultChild is the name of the child that runs the user's sites.
const DefaultChild = "default"

// childSpec is what a configuration wants of one child.
type childSpec struct {
	*supervisor.Spec
	haLog string // empty is none
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

func duration(d *caddy.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return time.Duration(*d)
}

// childSpecs checks all children and says what to run.
func (a *App) childSpecs() (map[string]*childSpec, error) {
	override := overrides.Load()
	specs := make(map[string]*childSpec, len(a.Children))
	for name, c := range a.Children {
		if err := checkName(name); err != nil {
			return nil, err
		}
		opts := c.optionsWith(a.ChildOptions)
		if name == DefaultChild && opts.HALog == nil {
			opts.HALog = a.HALog
		}
		if name == DefaultChild && override != nil {
			opts = override.apply(opts)
		}
		spec, err := c.spec(name, opts)
		if err == nil {
			err = checkRoot(opts.User)
		}
		if err != nil {
			return nil, fmt.Errorf("child %q: %w", name, err)
		}
		specs[name] = spec
	}
	return specs, nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/?#% \t\n") {
		return fmt.Errorf("child name %q: a name is not empty and has no blank and none of / ? # %%", name)
	}
	return nil
}

// Check tells whether a child of that name could be run with what defaults give
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
		opts.Standby = c.Standby
	}
	return opts
}

func (c *Child) spec(name string, o ChildOptions) (*childSpec, error) {
	s := &childSpec{Spec: &supervisor.Spec{
		User: o.User,
		Restart: supervisor.Restart{
			Delay:    duration(o.RestartDelay, 2*time.Second),
			MaxDelay: duration(o.MaxRestartDelay, time.Minute),
			Reset:    duration(o.RestartReset, 10*time.Second),
		},
		ReadyTimeout: duration(o.ReadyTimeout, 30*time.Second),
		Watchdog:     duration(o.Watchdog, 15*time.Second),
		DrainTimeout: duration(o.DrainTimeout, time.Minute),
		StopTimeout:  duration(o.StopTimeout, 0),
	}}
	if o.Standby != nil {
		s.Standby = *o.Standby
	}
	if o.Watchdog != nil && *o.Watchdog == WatchdogOff {
		s.Watchdog = 0
	}
	if o.MaxRestartDelay == nil && s.Restart.MaxDelay < s.Restart.Delay {
		s.Restart.MaxDelay = s.Restart.Delay
	}
	switch {
	case o.HALog != nil && *o.HALog != "off":
		s.haLog = *o.HALog
	case o.HALog == nil && name == DefaultChild:
		s.haLog = defaultHALog
	}
	if err := checkOptions(s.Spec); err != nil {
		return nil, err
	}
	if err := c.replacement(s, o.Replace); err != nil {
		return nil, err
	}
	if o.User != "" {
		if _, err := supervisor.LookupUser(o.User); err != nil {
			return nil, err
		}
	}
	env, err := childEnv(o.Env)
	if err != nil {
		return nil, err
	}
	s.Env = env
	return s, c.program(s.Spec)
}

// program says what the child executes.
func (c *Child) program(s *supervisor.Spec) error {
	switch {
	case c.Config != nil && c.Command != nil:
		return fmt.Errorf("config and command: a child runs Caddy with a config, or a command, not both")
	case c.Config != nil && len(c.Listen) > 0:
		return fmt.Errorf("listen %s: a Caddy child listens where its sites say; listen is for a command", c.Listen[0])
	case c.Config != nil:
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		s.Command = []string{self, "broker", "run", "--child"}
		s.Config = c.Config
		return nil
	case len(c.Command) == 0:
		return fmt.Errorf("nothing to run: give it a command")
	case s.Standby > 0:
		return fmt.Errorf("standby %d: only a Caddy child can be kept from accepting; a command has no spares", s.Standby)
	}
	if err := supervisor.IsExecutable(c.Command[0]); err != nil {
		return fmt.Errorf("command %s: %w", c.Command[0], err)
	}
	s.External = true
	s.Command = c.Command
	s.Listen = c.Listen
	return supervisor.CheckListen(c.Listen)
}

func checkOptions(s *supervisor.Spec) error {
	for _, d := range []struct {
		name  string
		value time.Duration
		zero  bool
	}{
		{"restart_delay", s.Restart.Delay, true},
		{"max_restart_delay", s.Restart.MaxDelay, true},
		{"restart_reset", s.Restart.Reset, true},
		{"ready_timeout", s.ReadyTimeout, false},
		{"watchdog", s.Watchdog, true},
		{"drain_timeout", s.DrainTimeout, true},
		{"stop_timeout", s.StopTimeout, true},
	} {
		if d.value < 0 || d.value == 0 && !d.zero {
			return fmt.Errorf("%s %s: must be positive%s", d.name, d.value, map[bool]string{true: " or 0"}[d.zero])
		}
	}
	if s.Restart.MaxDelay < s.Restart.Delay {
		return fmt.Errorf("max_restart_delay %s: must not be less than restart_delay %s", s.Restart.MaxDelay, s.Restart.Delay)
	}
	if s.Standby < 0 || s.Standby > maxStandby {
		return fmt.Errorf("standby %d: must be 0 to %d", s.Standby, maxStandby)
	}
	if s.Watchdog > 0 && s.Watchdog < minWatchdog {
		return fmt.Errorf("watchdog %s: must be at least %s, or off", s.Watchdog, minWatchdog)
	}
	return nil
}

const (
	// maxStandby bounds spares: each is a whole Caddy.
	maxStandby = 8
	// minWatchdog leaves room for heartbeats, which come every second.
	minWatchdog = 3 * time.Second
)

// checkRoot tells whether this process can start a child as that user. It is a
// matter of the process that runs the broker, not of one that adapts its file.
func checkRoot(user string) error {
	if user != "" && os.Geteuid() != 0 {
		return fmt.Errorf("user %s: only root can start a child as another user; run the broker as root or remove the option", user)
	}
	return nil
}

// childEnv is this process's environment with add in it.
func childEnv(add map[string]string) ([]string, error) {
	env := supervisor.CleanEnv(os.Environ())
	names := make([]string, 0, len(add))
	for k := range add {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return nil, fmt.Errorf("env %q: not a name", k)
		}
		env = supervisor.SetEnv(env, k, add[k])
	}
	return env, nil
}
