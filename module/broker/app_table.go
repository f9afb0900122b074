// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
	"github.com/caddy-broker/caddy-broker/module/internal/memory"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/users"
)

const (
	// maxStandby bounds spares: each is a whole Caddy.
	maxStandby = 8
	// maxGenerations and maxDrains bound the options of these names.
	maxGenerations = 16
	maxDrains      = 1024
	// maxProbation bounds the time for which a spare of the configuration before is kept.
	maxProbation = time.Hour
	// defaultProbation is what a broker that says nothing has.
	defaultProbation = 10 * time.Second
	// defaultProbationRequests is likewise, and maxProbationRequests bounds it.
	defaultProbationRequests = 100
	maxProbationRequests     = 1_000_000_000
	// minWatchdog leaves room for heartbeats, which come every second.
	minWatchdog = 3 * time.Second

	notNegative = "a duration, at least 0"
)

// childTable has the options of children, which the app takes as well. To add one,
// add a field to ChildOptions, a row, and what it does in Child.spec.
var childTable = options.Table[ChildOptions]{
	{
		Name: "standby", Kind: options.Int,
		Default: "0", Allowed: fmt.Sprintf("a whole number from 0 to %d", maxStandby),
		Effect: "How many spare processes there are. They are loaded and warm, and accept nothing until they are needed. Each costs the memory of a Caddy. Not for a `command`.",
		Access: options.Optional(func(o *ChildOptions) **int { return &o.Standby }, options.Within(0, maxStandby)),
	},
	{
		Name: "restart_delay", Kind: options.Duration,
		Default: "2s", Allowed: notNegative,
		Effect: "The time from a crash to the next start. A standby is promoted at once.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.RestartDelay }, options.NotNegative),
	},
	{
		Name: "max_restart_delay", Kind: options.Duration,
		Default: "1m", Allowed: "a duration, at least `restart_delay`",
		Effect: "If a child dies again before `restart_reset`, the delay doubles up to this, ±20 %. With the value of `restart_delay` the delay is always the same.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.MaxRestartDelay }, options.NotNegative),
	},
	{
		Name: "restart_reset", Kind: options.Duration,
		Default: "10s", Allowed: notNegative,
		Effect: "After a child has been ready for this long, the delay starts over.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.RestartReset }, options.NotNegative),
	},
	{
		Name: "ready_timeout", Kind: options.Duration,
		Default: "30s", Allowed: "a duration, above 0",
		Effect: "A child that is not ready by then is ended, and counts as crashed.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.ReadyTimeout }, options.Positive),
	},
	{
		Name: "watchdog", Kind: options.Duration, Off: options.NoLimit,
		Default: "15s", Allowed: "a duration, at least " + options.DurationString(minWatchdog) + ", or off (-1 in JSON)",
		Effect: "A child without a heartbeat for this long is ended, with a goroutine dump, and restarted.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.Watchdog }, options.NoLimitOr(checkWatchdog)),
	},
	{
		Name: "drain_timeout", Kind: options.Duration,
		Default: "1m", Allowed: notNegative,
		Effect: "How long requests in progress and streams of a replaced child may take; 0 is without limit. Unless it is set, Caddy's `grace_period` and the longest `stream_close_delay` count if they are longer.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.DrainTimeout }, options.NotNegative),
	},
	{
		Name: "stop_timeout", Kind: options.Duration,
		Default: "0", Allowed: notNegative,
		Effect: "After this time, an immediate stop turns into one by force; with 0 it never does by itself.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.StopTimeout }, options.NotNegative),
	},
	{
		Name: "max_generations", Kind: options.Int,
		Default: "3", Allowed: fmt.Sprintf("a whole number from 2 to %d", maxGenerations),
		Effect: "How many processes may serve at the same time: the active one, and those replaced within the last ten seconds. At that number, the oldest one ends its streams, and a replacement waits for at most ten seconds.",
		Access: options.Optional(func(o *ChildOptions) **int { return &o.MaxGenerations }, options.Within(2, maxGenerations)),
	},
	{
		Name: "max_drains", Kind: options.Int,
		Default: "64", Allowed: fmt.Sprintf("a whole number from 1 to %d", maxDrains),
		Effect: "How many replaced processes may still finish requests, downloads or streams. Each keeps its memory. At that number, the oldest ends its streams, and replacements fail until one has ended.",
		Access: options.Optional(func(o *ChildOptions) **int { return &o.MaxDrains }, options.Within(1, maxDrains)),
	},
	{
		Name: "replace", Kind: options.String,
		Default: "`stop_first` where a module is configured that is known to need it, such as `acme_server`; else `overlap`", Allowed: replaceOverlap + " or " + replaceStopFirst,
		Effect: "`stop_first` ends the old process before the new one is loaded, for modules that cannot be loaded twice at the same time.",
		Access: options.Omissible(options.Field(func(o *ChildOptions) *string { return &o.Replace }, checkReplace)),
	},
	{
		Name: "max_memory", Kind: options.Size,
		Default: "no limit", Allowed: "a number of bytes, above 0",
		Effect: "How much memory the process that serves may have for itself, without the program's file, which processes share. After three seconds above this, it is replaced without loss. Linux only.",
		Access: options.Optional(func(o *ChildOptions) **int64 { return &o.MaxMemory }, options.Within[int64](1, math.MaxInt64)),
	},
	{
		Name: "max_memory_interval", Kind: options.Duration,
		Default: "1m", Allowed: "a duration, above 0",
		Effect: "The shortest time between two such replacements.",
		Access: options.OptionalDuration(func(o *ChildOptions) **caddy.Duration { return &o.MaxMemoryInterval }, options.Positive),
	},
	{
		Name: "gc", Kind: options.String,
		Default: "auto", Allowed: "auto or a percentage from 1 to 10000, in quotation marks in JSON",
		Effect: "How much garbage may gather, in percent of what is alive, as in GOGC, which takes precedence. `auto` is 400 where there is room, and down to 100 near the limit. Not for a `command`.",
		Access: options.Omissible(options.Field(func(o *ChildOptions) *string { return &o.GC }, checkGC)),
	},
	{
		Name: "ha_log", Kind: options.String,
		Default: "`broker_ha.log`, for a `child` off", Allowed: "the path of a file, or off",
		Effect: "Where the life of the child is recorded, one line for each event.",
		Access: options.Optional(func(o *ChildOptions) **string { return &o.HALog }, notEmpty),
	},
	{
		Name: "user", Kind: options.String,
		Default: "the parent's", Allowed: "the name of a user of this system",
		Effect: "The child runs as this user. The parent stays root, and holds the ports below 1024 and the unix sockets.",
		Access: options.Omissible(options.Field(func(o *ChildOptions) *string { return &o.User }, checkUser)),
	},
	{
		Name: "env", Kind: options.Pairs, Repeat: true,
		Default: "none", Allowed: "a name without = and a value",
		Effect: "Variables that are added to the child's environment, one in each line. `{env.NAME}` passes on one of the broker's.",
		Access: pairs(func(o *ChildOptions) *map[string]string { return &o.Env }, checkEnvName),
	},
}

// appTable has the options of the broker that no child has.
var appTable = options.Table[App]{
	{
		Name: "state_dir", Kind: options.String,
		Default: "`broker` in Caddy's data directory", Allowed: "the path of a folder, or off",
		Effect: "The folder in which drains, manual failovers, added and removed addresses, the requests in doubt and the configurations that have served outlive the parent.",
		Access: options.Optional(func(a *App) **string { return &a.StateDir }, notEmpty),
	},
	{
		Name: "probation", Kind: options.Duration,
		Default: options.DurationString(defaultProbation), Allowed: "a duration, at least 0 and at most " + options.DurationString(maxProbation),
		Effect: "After a reload has come to serve: a process of it that crashes, hangs or fails a `probe`, which is sent again each second unless it is `unsafe`, is rolled back to the configuration before; 0 is never.",
		Access: options.OptionalDuration(func(a *App) **caddy.Duration { return &a.Probation }, options.Within(0, maxProbation)),
	},
	{
		Name: "probation_errors", Kind: options.String,
		Default: "no limit", Allowed: "a percentage such as 5%, above 0 and below 100",
		Effect: "By how many percent of all answers those with 5xx may be more than in the minute before the reload; above that it is rolled back.",
		Access: options.Omissible(options.Field(func(a *App) *string { return &a.ProbationErrors }, checkPercent)),
	},
	{
		Name: "probation_requests", Kind: options.Int,
		Default: strconv.Itoa(defaultProbationRequests), Allowed: fmt.Sprintf("a whole number from 1 to %d", maxProbationRequests),
		Effect: "So many requests must have been answered since the reload, and in the minute before it, for `probation_errors` to be judged.",
		Access: options.Optional(func(a *App) **int { return &a.ProbationRequests }, options.Within(1, maxProbationRequests)),
	},
}

// programTable has what a child that is another program has besides.
var programTable = options.Table[Child]{
	{
		Name: "command", Kind: options.List,
		Default: options.Required, Allowed: "a program and its arguments",
		Effect: "The program to run.",
		Access: options.Field(func(c *Child) *[]string { return &c.Command }),
	},
	{
		Name: "listen", Kind: options.List, Repeat: true,
		Default: "none", Allowed: "addresses such as tcp/127.0.0.1:9000 or unix//run/app.sock",
		Effect: "The sockets that the program gets.",
		Access: options.Field(func(c *Child) *[]string { return &c.Listen }, supervisor.CheckListen),
	},
}

// childDefaults are the defaults of the table that are values.
var childDefaults = func() (o ChildOptions) {
	for i := range childTable {
		row := &childTable[i]
		if row.Kind != options.Duration && row.Kind != options.Int {
			continue
		}
		if err := row.Read(&o, row.Default, block.Units); err != nil {
			panic("default of option " + row.Name + ": " + err.Error())
		}
	}
	return o
}()

// pairs is the access to a map whose keys are checked.
func pairs(at func(*ChildOptions) *map[string]string, check func(key string) error) options.Access[ChildOptions] {
	return options.Omissible(options.Field(at, func(m map[string]string) error {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if err := check(key); err != nil {
				return err
			}
		}
		return nil
	}))
}

func checkWatchdog(d time.Duration) error {
	switch {
	case d == 0:
		return errors.New("use off to disable it")
	case d < minWatchdog:
		return options.ErrRange
	}
	return nil
}

func checkPercent(text string) error {
	_, err := percent(text)
	return err
}

// percent is the part of 1 that a percentage says.
func percent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n > 0 && n < 100) {
		return 0, options.ErrRange
	}
	return n / 100, nil
}

func notEmpty(s string) error {
	if s == "" {
		return options.ErrRange
	}
	return nil
}

func checkGC(text string) error {
	if _, err := memory.ParseGC(text); err != nil || text == "" {
		return options.ErrRange
	}
	return nil
}

func checkUser(name string) error {
	if name == "" {
		return options.ErrRange
	}
	_, err := users.Lookup(name)
	return err
}

func checkEnvName(name string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%s is not a name", options.Quote(name))
	}
	return nil
}
