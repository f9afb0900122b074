// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/memory"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
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
	undone      undone // guarded by turn

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
		noteReload(overview.RolledBack, instead)
		h.tellRolledBack(instead, nil, false)
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
