// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/admindir"
	"github.com/caddy-broker/caddy-broker/module/internal/environment"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/module/internal/parentlog"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
)

// Hosted is one child with what belongs to it.
type Hosted struct {
	name  string
	sup   *supervisor.Supervisor
	spec  *supervisor.Spec // what was applied last; guarded by host.turn
	haLog string
	log   *halog.Log
	pools *poolKeeper
	// leaving is closed when the child is gone; nil as long as a configuration wants it.
	// It is guarded by host.mu.
	leaving chan struct{}
	// dirs are those of the private admin sockets. They stay until the child goes.
	dirs admindir.Dirs
	// backs are the roll-backs that are not noted yet.
	backs chan supervisor.RolledBack
	// handed says that the program before has handed it over: there is something to go on with.
	handed bool
	// inDoubt counts the unsafe requests that the ends of processes cut off.
	inDoubt atomic.Uint64
}

func newHosted(name string, want *childSpec, events *eventPump, logger *zap.Logger) (*Hosted, error) {
	admindir.CleanUp(logger)
	if names := environment.Withheld(want.Env); len(names) > 0 {
		logger.Info("child does not get these variables of the broker's environment; `env NAME {env.NAME}` in its options hands one over",
			zap.String("child", name), zap.Strings("variables", names))
	}
	c := &Hosted{name: name, spec: want.Spec, haLog: want.haLog, pools: new(poolKeeper), backs: make(chan supervisor.RolledBack, 8)}
	handed := handedChild(name)
	err := c.pools.restore(host.state.of(name))
	if handed != nil {
		err = c.resume(handed)
	}
	if err != nil {
		logger.Warn("state of the broker: what was kept of the pools cannot be read, so they start without", zap.String("child", name), zap.Error(err))
	}
	if err := c.admit(want.User); err != nil {
		return nil, err
	}
	c.log = halog.Open(want.haLog, func(err error) {
		logger.Warn("high-availability log is not written; the service goes on", zap.String("child", name), zap.Error(err))
	})
	cfg := supervisor.Config{
		Name:        name,
		Stderr:      c.output,
		HALog:       c.log,
		AdminSocket: c.dirs.Socket,
		Hello:       c.hello,
		Prove:       c.proving,
		Activate:    c.activated,
		Report:      c.reported,
		Connect:     c.connected,
		Cut:         c.left,
		RolledBack:  c.rolledBack,
		Event:       events.put,
		Hold:        c.hold,
	}
	if handed != nil {
		cfg.Handed = handed.Handover
	}
	c.handed, c.sup = handed != nil, supervisor.New(cfg)
	return c, nil
}

// begin makes the child serve. One that was handed over serves already: then a process of
// this program that cannot is no reason to end it.
func (c *Hosted) begin(ctx context.Context, spec *supervisor.Spec, logger *zap.Logger) error {
	if !c.handed {
		return c.sup.Start(ctx, spec)
	}
	err := c.sup.Resume(ctx, spec)
	if err != nil && c.sup.Status().State == "active" {
		logger.Error("child goes on in the process that the program before has started, because this program cannot start one; `caddy broker restart` tries again",
			zap.String("child", c.name), zap.Error(err))
		return nil
	}
	return err
}

// servable reports whether a configuration that is loaded now is served.
func (c *Hosted) servable() error {
	if st := c.sup.Status(); overview.Paused(st) {
		return fmt.Errorf("child %q is %s, so nothing would serve this configuration: use `caddy broker start`, then load it again", c.name, st.State)
	}
	return nil
}

// adopt notes what was applied. Only then the log changes: a reload that fails
// leaves it as it was.
func (c *Hosted) adopt(want *childSpec) {
	c.spec = want.Spec
	if c.haLog != want.haLog {
		c.haLog = want.haLog
		c.log.Reopen(want.haLog)
	}
}

func (c *Hosted) close() {
	c.sup.Close()
	c.log.Close()
	c.dirs.Remove()
}

// admit makes room for the admin sockets of user's processes.
func (c *Hosted) admit(user string) error {
	if err := c.dirs.Admit(user); err != nil {
		return fmt.Errorf("child %q: %w", c.name, err)
	}
	return nil
}

// output is what the process with that id writes its standard error to.
func (c *Hosted) output(pid int) io.WriteCloser {
	d := host.shown.Load()
	if a := host.deciding(); d == nil && a != nil {
		d = a.doc // the first one, which nothing changes before it is shown
	}
	var config []byte
	if d != nil {
		config = d.JSON()
	}
	return parentlog.NewOutput(c.name, pid, config)
}
