// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/eventhub"
	"github.com/caddy-broker/caddy-broker/module/internal/hold"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// Find is the child of that name, nil if there is none.
func Find(name string) *Hosted { return host.child(name) }

// Names are the children's, in order.
func Names() []string { return slices.Sorted(maps.Keys(host.list())) }

// Statuses are all children's, by name.
func Statuses() []*supervisor.Status {
	children := host.list()
	out := make([]*supervisor.Status, 0, len(children))
	for _, name := range slices.Sorted(maps.Keys(children)) {
		out = append(out, children[name].Status())
	}
	return out
}

// Overview is Statuses with short texts of the last exits.
func Overview() []*supervisor.Status {
	list := Statuses()
	for _, st := range list {
		st.LastExit, st.LastFailure = st.LastExit.Brief(), st.LastFailure.Brief()
	}
	return list
}

// LastExit is how the last process of a child ended; its Exit is nil before that.
type LastExit struct {
	*exits.Exit
	// LastFailure is the last end that was not asked for, if that is another one: no
	// replacement that failed takes its place.
	LastFailure *exits.Exit `json:"last_failure,omitempty"`
}

// LastExit is how the last process of the child ended.
func (c *Hosted) LastExit() LastExit {
	st := c.sup.Status()
	return LastExit{st.LastExit, st.OtherFailure()}
}

// Doubts are the requests in doubt that children reported.
func Doubts() []indoubt.Record { return host.doubts.List() }

// Watch returns a channel of the children's events and of their pools', beginning with
// those remembered after the one with the id after, 0 with none; it is closed when the
// watcher was too slow. over ends with the configuration in effect.
func Watch(after int64) (events <-chan eventhub.Event, over <-chan struct{}, end func()) {
	events, end = host.events.hub.Watch(after)
	return events, Over(), end
}

// Over ends with the configuration in effect; nil if there is none.
func Over() <-chan struct{} {
	if a := host.deciding(); a != nil {
		return a.ctx.Done()
	}
	return nil
}

// Name is the child's in the configuration.
func (c *Hosted) Name() string { return c.name }

// Status is what the child is like now. Changes of its configuration that no load has
// taken yet wait like those that the supervisor has.
func (c *Hosted) Status() *supervisor.Status {
	st := c.sup.Status()
	st.LastFailure = st.OtherFailure()
	n := changes.Waiting()
	if c.name != DefaultChild || n == 0 {
		return st
	}
	var waiting supervisor.Waiting
	if st.Waiting != nil {
		waiting = *st.Waiting
	}
	waiting.Changes += n
	st.Waiting = &waiting
	return st
}

// Start starts a child that was stopped.
func (c *Hosted) Start(ctx context.Context) error { return c.sup.Start(ctx, nil) }

// Stop stops the child.
func (c *Hosted) Stop(ctx context.Context, mode control.Mode) error { return c.sup.Stop(ctx, mode) }

// Restart replaces the child's process by a new one.
func (c *Hosted) Restart(ctx context.Context) error { return c.replace(ctx, nil) }

// Promote swaps the active process for a standby.
func (c *Hosted) Promote(ctx context.Context) error { return c.sup.Promote(ctx) }

// hold answers users on the held sockets that speak plain HTTP/1, until the next start.
func (c *Hosted) hold(held *sockets.Holder, next time.Time) (release func()) {
	var plain []net.Listener
	for _, name := range c.pools.plain() {
		network, address, _ := strings.Cut(name, "/")
		if socket, ok := held.Listener(network, address); ok {
			plain = append(plain, socket)
		}
	}
	return hold.Answer(plain, next)
}
