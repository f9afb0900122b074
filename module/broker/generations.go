// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Latest makes this process start what it is given even if that was refused before.
func Latest() { latest.Store(true) }

var latest atomic.Bool

// ErrNoGeneration says that there is no generation of a number.
var ErrNoGeneration = generations.ErrUnknown

// Generations are the configurations that have served.
func Generations() generations.View { return host.generations.View() }

// served notes that d serves, if it is the user's.
func (h *hostState) served(d *document.Document, first bool) {
	if d == nil {
		return
	}
	by := "Caddy itself"
	if first {
		by = "the start"
	}
	g := generations.Generation{Since: time.Now(), By: cmp.Or(d.By, by), Digest: digest(d), Config: d.JSON()}
	if s := d.Source; s != nil {
		g.File, g.Adapter = s.File, s.Adapter
	}
	h.generations.Served(g)
}

// refused notes that d could not take the place of what serves, if that was its fault.
func (h *hostState) refused(d *document.Document, err error) {
	_, start := errors.AsType[*exits.StartError](err)
	_, proof := errors.AsType[*supervisor.ProofError](err)
	if d != nil && h.shown.Load() != nil && (start || proof) {
		h.generations.Refuse(generations.Refused{Digest: digest(d), At: time.Now(), Why: plain.Line(err.Error(), maxReload)})
	}
}

// lastGood makes a process that starts run what served last, if what it was given could
// not serve the last time. What is asked for is loaded. It returns what to say of that.
func (h *hostState) lastGood(a *App, asked bool) string {
	if asked || latest.Load() || a.doc == nil || a.former || h.shown.Load() != nil || TakesOver() {
		return ""
	}
	g, refused := h.generations.Instead(digest(a.doc))
	if g == nil {
		return ""
	}
	sites := *a.Children[DefaultChild]
	var spec *childSpec
	d, err := document.Parse(g.Config)
	if err == nil {
		err = sites.run(d)
	}
	if err == nil {
		spec, err = a.childSpec(DefaultChild, &sites)
	}
	if err == nil {
		err = divideMemory(a.specs, DefaultChild, spec)
	}
	if err != nil {
		a.logger.Error("starting the configuration that served last; the one that was given is started instead", zap.Int("generation", g.Number), zap.Error(err))
		return ""
	}
	a.doc, a.Children[DefaultChild], a.specs[DefaultChild] = d.From(a.doc.Source), &sites, spec
	return fmt.Sprintf("generation %d serves, which did so last: the configuration that this process was started with was refused at %s (%s); "+
		"`caddy reload --force` loads it if it proves itself now, `caddy broker run --ha --latest` starts it in any case", g.Number, refused.At.Local().Format(time.DateTime), refused.Why)
}

// rolledBackEvent says that something else serves than what was loaded last.
const rolledBackEvent = "broker_reload_rolled_back"

// tellRolledBack says that.
func tellRolledBack(why string) {
	noteReload(overview.RolledBack, why)
	host.events.put(supervisor.Event{Name: rolledBackEvent, Data: map[string]any{"error": plain.Line(why, maxEventText)}})
}

// Rollback loads the generation of that number again, 0 is the one before that which
// serves, and returns both. It is proved as every other load is. What served until then is
// not started again by itself.
func Rollback(ctx context.Context, number int, by string) (to, from int, err error) {
	g, serving, err := host.generations.Back(number)
	if err != nil {
		return 0, 0, fmt.Errorf("rolling back: %w", err)
	}
	d, err := document.Parse(g.Config)
	if err == nil {
		if g.File != "" {
			d = d.From(&document.Source{File: g.File, Adapter: g.Adapter})
		}
		err = Change(ctx, document.Request{Whole: d, By: fmt.Sprintf("roll-back to generation %d by %s", g.Number, by)})
	}
	if err != nil {
		return 0, 0, fmt.Errorf("rolling back to generation %d: %w", g.Number, err)
	}
	if g.Digest == serving.Digest {
		return g.Number, serving.Number, nil
	}
	why := fmt.Sprintf("generation %d was rolled back to generation %d by %s; the file on disk is not what runs", serving.Number, g.Number, by)
	host.generations.Refuse(generations.Refused{Digest: serving.Digest, At: time.Now(), Why: why})
	tellRolledBack(why)
	return g.Number, serving.Number, nil
}

// isSubstituted reports whether Caddy itself has to load the next configuration.
func (h *hostState) isSubstituted() bool {
	h.turn.Lock()
	defer h.turn.Unlock()
	return h.substituted
}
