// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/metrics"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
	"github.com/caddy-broker/caddy-broker/module/internal/voice"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App runs programs as supervised child processes, first of all the balancing
// broker: this same Caddy binary, serving the user's sites. The app holds the
// listening sockets, so that a child that crashes, hangs or is replaced refuses
// nobody.
//
// A user's configuration has its options only. Out of that configuration the parent's
// is made, where this app has a child named `default`, which runs the whole of it.
type App struct {
	ChildOptions

	// Off ends the supervision: this process serves the configuration itself.
	Off bool `json:"off,omitempty"`

	// Source names the file that this configuration was adapted from, so that a
	// reload can be asked for without naming it again.
	Source *document.Source `json:"source,omitempty"`

	// AdminListen is the address of this process's admin endpoint, which no other
	// process may have; if empty, that is not looked at.
	AdminListen string `json:"admin_listen,omitempty"`

	// StateDir is the folder in which what operators decided about pools, and the
	// requests in doubt, outlive this process; `off` keeps them in memory alone.
	// Default: `broker` in Caddy's data directory.
	StateDir *string `json:"state_dir,omitempty"`

	// Probes are requests that a new process has to answer as expected, before users
	// reach it, when it is to replace one that serves.
	Probes []probe.Probe `json:"probes,omitempty"`

	// Probation is how long a configuration that has come to serve instead of another one
	// may turn out not to serve well: if a process of it crashes, hangs or fails a probe,
	// the one before serves again. 0 is no such time. Default: 10s.
	Probation *caddy.Duration `json:"probation,omitempty"`

	// ProbationErrors is by how many percent the share of requests that are answered with
	// 5xx may be larger than before, meanwhile, such as `5%`. Default: no limit.
	ProbationErrors string `json:"probation_errors,omitempty"`

	// ProbationRequests is how many requests must have been answered for that to be
	// judged, meanwhile and in the minute before. Default: 100.
	ProbationRequests *int `json:"probation_requests,omitempty"`

	// Children are the programs to run, by name. The child `default` runs Caddy.
	Children map[string]*Child `json:"children,omitempty"`

	// Network makes this broker one of a network of brokers.
	Network *cluster.Network `json:"network,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger
	events *caddyevents.App
	specs  map[string]*childSpec
	doc    *document.Document // the user's configuration
	former bool               // of which not all is known
	ready  chan struct{}      // closed when Start returns
	over   chan struct{}      // closed when the claim ended
}

// Child is one supervised program: a Caddy with a configuration, or a command.
type Child struct {
	ChildOptions

	// Config is the configuration of a Caddy that runs as this child.
	Config json.RawMessage `json:"config,omitempty"`
	// Verbatim says that the configuration is the user's word for word, in which members
	// `@id` are called `@@id`: the child runs of it what is not the parent's business.
	Verbatim bool `json:"verbatim,omitempty"`
	// Command is another program to run, with its arguments.
	Command []string `json:"command,omitempty"`
	// Listen are the sockets of that program, as Caddy network addresses
	// (`tcp/127.0.0.1:9000`). They are opened and held here and handed over as
	// systemd hands them over (`LISTEN_FDS`).
	Listen []string `json:"listen,omitempty"`

	decoded any // what Config was made of, if it is known
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "broker", New: func() caddy.Module { return new(App) }}
}

// Provision checks the configuration. It starts nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	if err := appTable.Check(a); err != nil {
		return err
	}
	if err := probe.Check(a.Probes); err != nil {
		return err
	}
	a.ready, a.over = make(chan struct{}), make(chan struct{})
	if a.Off {
		return nil
	}
	if err := a.document(); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting events app: %w", err)
	}
	var ok bool
	if a.events, ok = events.(*caddyevents.App); !ok {
		return fmt.Errorf("getting events app: it is a %T", events)
	}
	for _, c := range []prometheus.Collector{childCollector{}, forwardCollector{a.logger}} {
		if err := metrics.Register(ctx.GetMetricsRegistry(), c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	if a.Network != nil {
		if err := a.Network.Provision(); err != nil {
			return err
		}
		if err := metrics.Register(ctx.GetMetricsRegistry(), cluster.Collector{}); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	a.specs, err = a.childSpecs()
	return err
}

// Supervisable reports whether this app can do what it is asked for: not if it stands in
// a user's configuration that was loaded as it is.
func (a *App) Supervisable() error {
	if !a.Off && a.Children[DefaultChild] == nil {
		return errUnwrapped
	}
	return nil
}

// errUnwrapped says that a user's configuration came into a process without having
// become that of a parent.
var errUnwrapped = errors.New("the option broker asks for supervision, which this way of loading a configuration cannot give: " +
	"use `caddy run`, `caddy broker run --ha`, or post it to /load; `broker off` serves it without")

// document finds the user's configuration, and what the child runs of it.
func (a *App) document() (err error) {
	c := a.Children[DefaultChild]
	switch p := host.pending.Load(); {
	case c == nil:
		return nil
	case !c.Verbatim:
		a.doc, err = a.formerDocument()
		a.former = true
		return err
	case p != nil && bytes.Equal(p.config, c.Config):
		a.doc = p.next
	default:
		var user any
		if err := json.Unmarshal(c.Config, &user); err != nil {
			return fmt.Errorf("child %q: config: %w", DefaultChild, err)
		}
		if a.doc, err = document.New(document.UnescapeIDs(user)); err != nil {
			return fmt.Errorf("child %q: %w", DefaultChild, err)
		}
		a.doc = a.doc.From(a.Source)
		if p != nil && bytes.Equal(p.next.JSON(), a.doc.JSON()) { // in another order
			a.doc = p.next
		}
	}
	return c.run(a.doc)
}

// run makes the child run a user's configuration.
func (c *Child) run(d *document.Document) (err error) {
	c.decoded = d.Config()
	c.Config, err = childConfig(d)
	return err
}

// Validate checks the child's own configuration where nothing will be started:
// in `caddy validate` and `caddy adapt --validate`. Elsewhere the child is the check.
func (a *App) Validate() error {
	if !assumed.Validating(os.Args) {
		return nil
	}
	for name, child := range a.Children {
		if child.Config == nil {
			continue
		}
		if err := validateChild(child.Config); err != nil {
			return fmt.Errorf("child %q: %w", name, err)
		}
	}
	return nil
}

// Start makes this configuration the one that decides what runs, and returns
// when all of it serves. If it cannot, everything is as it was before.
func (a *App) Start() error {
	defer host.coming.CompareAndSwap(a, nil)
	defer close(a.ready)
	if a.Off {
		return nil
	}
	if err := a.Supervisable(); err != nil { // without an admin endpoint nothing has asked for that before
		return err
	}
	if err := host.claim(a); err != nil {
		return err
	}
	heedSignal()
	if left := sockets.DropStored(); len(left) > 0 {
		a.logger.Info("closed sockets of an earlier process that nothing listens on any more", zap.Strings("addresses", left))
	}
	return nil
}

// Started reports whether Start has returned.
func (a *App) Started() bool {
	select {
	case <-a.ready:
		return true
	default:
		return false
	}
}

// Stop releases this configuration's claim. What no other configuration claims
// is stopped, in order.
func (a *App) Stop() error {
	return host.release(a)
}

// Cleanup releases what a failed start left.
func (a *App) Cleanup() error {
	return host.release(a)
}

// emit logs an event and hands it to this configuration's subscribers, one at a time.
func (a *App) emit(e supervisor.Event) {
	if c := a.logger.Check(voice.Severity(e), e.Name); c != nil {
		fields := make([]zap.Field, 0, len(e.Data))
		for _, k := range slices.Sorted(maps.Keys(e.Data)) {
			if k != voice.FieldSeverity { // which is the line's level
				fields = append(fields, zap.Any(k, e.Data[k]))
			}
		}
		c.Write(fields...)
	}
	a.events.Emit(a.ctx, e.Name, e.Data)
}

// secrets are those that this configuration has for this process alone.
func (a *App) secrets() []string {
	if a.Network == nil {
		return nil
	}
	return []string{caddy.NewReplacer().ReplaceAll(a.Network.Key, "")}
}

// serves reports whether this process has sites of its own beside its children.
func (a *App) serves() bool {
	sites, err := a.ctx.AppIfConfigured("http")
	return sites != nil || err != nil && !errors.Is(err, caddy.ErrNotConfigured)
}

// waitReady returns when Start has returned, or the start has failed: an event
// emitted earlier would not find the user's subscriptions.
func (a *App) waitReady() {
	select {
	case <-a.ready:
	case <-a.over:
	}
}

// errExiting ends a wait when the whole process is on its way out.
var errExiting = errors.New("caddy is exiting")

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
