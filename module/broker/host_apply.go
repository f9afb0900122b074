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

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

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
	if err := a.place(w); err != nil {
		return err
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
