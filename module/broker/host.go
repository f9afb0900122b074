// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/environment"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/memory"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// host holds what outlives one configuration: the running children. Every
// configuration that was started holds a claim; the newest decides what runs.
// When it is released, because it was replaced or because a neighbour of it
// failed to start, the newest one left decides again. So an unchanged child is
// not touched by a reload, and a failed reload leaves everything as it was.
var host = &hostState{children: make(map[string]*Hosted), events: newEventPump()}

// turnLock is the class of hostState.turn.
type turnLock struct{}

type hostState struct {
	turn lockorder.Mutex[turnLock] // one claim or release at a time; held while children start and stop

	mu       lockorder.RWMutex[hostState] // guards what follows, briefly
	claims   []*App
	children map[string]*Hosted

	shown   atomic.Pointer[document.Document] // that of the claim that decides, once it serves
	pending atomic.Pointer[pending]           // the load that the queue has under way
	coming  atomic.Pointer[App]               // what this process is about to serve as its first

	network clusterHost   // guarded by turn
	thrift  memory.Thrift // guarded by turn
	sampler sampler       // guarded by turn
	book    history.Book
	events  *eventPump
	doubts  indoubt.Ledger // requests in doubt that children reported
	state   parentState

	generations generations.Store
	// substituted says that another configuration serves than the one whose admin endpoint
	// and options this process has; guarded by turn.
	substituted bool

	push pusher // guarded by turn
}

// show makes d the configuration that serves, and reports whether nothing did before. What
// else there is to say of that comes before served, which writes a file. h.turn is held.
func (h *hostState) show(d *document.Document, logger *zap.Logger) (first bool) {
	first = h.shown.Swap(d) == nil
	h.push.follow(d, logger)
	return first
}

// claim makes a decide, and returns when all its children serve.
func (h *hostState) claim(a *App) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.noteRolledBack()
	p := h.pending.Load()
	if p != nil && p.next != a.doc { // this load is not the queue's
		p = nil
	}
	if p != nil && p.base != h.shown.Load() {
		p.overtaken = true
		return document.ErrOvertaken
	}
	h.mu.Lock()
	h.claims = append(h.claims, a)
	h.mu.Unlock()
	h.events.follow(a)
	h.state.follow(h, a)
	instead := h.lastGood(a, p != nil)
	if spec := a.specs[DefaultChild]; spec != nil && a.doc != nil {
		spec.madeOf(a.doc, a.Children[DefaultChild])
	}

	ctx, cancel := assumed.UntilExiting(context.Background(), errExiting)
	defer cancel()
	if err := h.network.apply(a.Network, a.logger); err != nil {
		h.drop(a)
		h.restore(a.logger)
		return err
	}
	unchanged, err := h.applyAll(ctx, a, p != nil && p.force)
	if err != nil {
		if p != nil {
			p.cause = inCaddysWords(err)
		}
		h.refused(a.doc, err)
		h.drop(a)
		h.restore(a.logger)
		return err
	}
	first := h.show(a.doc, a.logger)
	was := LastReload()
	loaded(nil)
	if first && was != nil && was.RolledBack != "" { // as the program before has said
		noteReload(overview.RolledBack, was.RolledBack)
	}
	if h.substituted = instead != ""; h.substituted {
		tellRolledBack(instead)
	}
	h.tellParent()
	h.thrift.Set(!a.serves())
	h.sampler.begin(h)
	for _, name := range unchanged {
		a.logUnchanged(name)
	}
	h.served(a.doc, first)
	return nil
}

func (a *App) logUnchanged(child string) {
	a.logger.Info("child goes on: nothing that it runs has changed; `caddy broker restart` replaces it", zap.String("child", child))
}

// change lets the configuration that decides go on with another document, whose
// parent's part is the same: it is about what the child runs, if anything.
func (h *hostState) change(base, next *document.Document, w *wrapped, force bool) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.noteRolledBack()
	a := h.deciding()
	if a == nil || base != h.shown.Load() {
		return document.ErrOvertaken
	}
	sites := *a.Children[DefaultChild]
	if err := sites.run(next); err != nil {
		return err
	}
	spec, err := a.childSpec(DefaultChild, &sites)
	if err != nil {
		return err
	}
	if err := divideMemory(a.specs, DefaultChild, spec); err != nil {
		return err
	}
	spec.madeOf(next, &sites)
	c := h.child(DefaultChild)
	unchanged := !force && c != nil && c.spec.Equal(spec.Spec)
	ctx, cancel := assumed.UntilExiting(context.Background(), errExiting)
	defer cancel()
	if err := h.apply(ctx, DefaultChild, spec, force, a.logger); err != nil {
		h.refused(next, err)
		return err
	}
	a.doc, a.Children[DefaultChild], a.specs[DefaultChild] = next, &sites, spec
	first := h.show(next, a.logger)
	loaded(nil)
	if unchanged {
		a.logUnchanged(DefaultChild)
	}
	h.served(next, first)
	w.save()
	return nil
}

// applyAll makes all children what a wants them to be, and returns those that were so
// already; if the load is forced, a Caddy is replaced all the same. One that the
// operator stopped is an error: nothing would serve what was just loaded.
func (h *hostState) applyAll(ctx context.Context, a *App, force bool) (unchanged []string, err error) {
	names := slices.Sorted(maps.Keys(a.specs))
	for _, name := range names {
		if err := h.awaitGone(ctx, name); err != nil {
			return nil, fmt.Errorf("child %q: waiting for the end of the one before: %w", name, err)
		}
		c := h.child(name)
		if c == nil || a.specs[name].External {
			continue
		}
		if err := c.servable(); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		c, want := h.child(name), a.specs[name]
		again := force && !want.External
		if c != nil && c.spec.Equal(want.Spec) && !again {
			unchanged = append(unchanged, name)
		}
		if err := h.apply(ctx, name, want, again, a.logger); err != nil {
			return nil, err
		}
	}
	return unchanged, nil
}

// release ends a's claim; a second time it does nothing.
func (h *hostState) release(a *App) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	top, held := h.drop(a)
	if !held {
		return nil
	}
	if top {
		h.restore(a.logger)
		return nil
	}
	h.prune(a.logger)
	return nil
}

// drop takes a's claim away and reports whether it was the deciding one, and
// whether there was one.
func (h *hostState) drop(a *App) (top, held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.claims, a)
	if i < 0 {
		return false, false
	}
	close(a.over)
	top = i == len(h.claims)-1
	h.claims = slices.Delete(h.claims, i, i+1)
	return top, true
}

// restore lets the newest claim left decide again.
func (h *hostState) restore(logger *zap.Logger) {
	a := h.deciding()
	if a == nil {
		h.show(nil, logger)
	} else {
		h.served(a.doc, h.show(a.doc, logger))
		h.events.follow(a)
		if err := h.network.apply(a.Network, a.logger); err != nil {
			logger.Error("restoring network of the running configuration", zap.Error(err))
		}
		ctx, cancel := assumed.UntilExiting(context.Background(), errExiting)
		defer cancel()
		for _, name := range slices.Sorted(maps.Keys(a.specs)) {
			err := h.awaitGone(ctx, name)
			if err == nil {
				err = h.apply(ctx, name, a.specs[name], false, a.logger)
			}
			if err != nil {
				logger.Error("restoring child of the running configuration", zap.String("child", name), zap.Error(err))
			}
		}
	}
	h.prune(logger)
}

// apply makes one child what it is wanted to be, in a new process if it is to be so again.
func (h *hostState) apply(ctx context.Context, name string, want *childSpec, again bool, logger *zap.Logger) error {
	c := h.child(name)
	if c == nil {
		var err error
		if c, err = newHosted(name, want, h.events, logger); err != nil {
			return err
		}
		h.mu.Lock()
		h.children[name] = c
		h.mu.Unlock()
		if err := c.begin(ctx, want.Spec, logger); err != nil {
			c.close()
			h.mu.Lock()
			delete(h.children, name)
			h.mu.Unlock()
			return err
		}
		h.state.begun(name)
		return nil
	}
	if err := c.admit(want.User); err != nil {
		return err
	}
	if again || !c.spec.Equal(want.Spec) {
		if want.locks != "" {
			logger.Info("child ends before its replacement starts, because one of its modules cannot be loaded twice; `replace overlap` in the broker's options denies it",
				zap.String("child", name), zap.String("module", want.locks))
		}
		switch err := c.replace(ctx, want.Spec); {
		case err == nil:
			c.adopt(want)
			return nil
		case !errors.Is(err, supervisor.ErrStopped) && !errors.Is(err, supervisor.ErrStopping):
			return err
		}
		// A program that the operator stopped stays so, and starts with the new settings.
	}
	c.sup.Tune(c.spec, want.Spec)
	if !bytes.Equal(c.spec.Told, want.Told) { // a new process is told at its start
		c.sup.Tell(parlance.TopicMemory, want.Told)
	}
	c.adopt(want)
	return nil
}

// deciding is the newest claim, nil if there is none.
func (h *hostState) deciding() *App {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.claims) == 0 {
		return nil
	}
	return h.claims[len(h.claims)-1]
}

func (h *hostState) child(name string) *Hosted {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.children[name]
}

func (h *hostState) list() map[string]*Hosted {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return maps.Clone(h.children)
}

// Hosted is one child with what belongs to it.
type Hosted struct {
	name  string
	sup   *supervisor.Supervisor
	spec  *supervisor.Spec // what was applied last; owned by whoever holds host.turn
	haLog string
	log   *halog.Log
	pools *poolKeeper
	// leaving is closed when the child is gone; nil as long as a configuration wants it.
	// It is guarded by host.mu.
	leaving chan struct{}
	// dirs are the directories of the private admin sockets, by user: a process can
	// make its socket in its own user's only. They stay until the child goes.
	dirs sync.Map
	// backs are the roll-backs that are not noted yet.
	backs chan supervisor.RolledBack
	// handed says that the program before has handed it over: there is something to go on with.
	handed bool
	// inDoubt counts the unsafe requests that the ends of processes cut off.
	inDoubt atomic.Uint64
}

func newHosted(name string, want *childSpec, events *eventPump, logger *zap.Logger) (*Hosted, error) {
	cleanUp(logger)
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
		AdminSocket: c.adminSocket,
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
	c.dirs.Range(func(_, dir any) bool {
		dir.(*sockets.Dir).Remove()
		return true
	})
}

// admit makes a directory for the admin sockets of user's processes, once.
func (c *Hosted) admit(user string) error {
	if _, ok := c.dirs.Load(user); ok {
		return nil
	}
	dir, err := adminDir(user)
	if err != nil {
		return fmt.Errorf("child %q: %w", c.name, err)
	}
	c.dirs.Store(user, dir)
	return nil
}

// adminSocket is the path of the private admin endpoint of process id, which runs
// as user.
func (c *Hosted) adminSocket(id int, user string) string {
	dir, ok := c.dirs.Load(user)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s/%d.sock", dir.(*sockets.Dir).Path, id)
}
