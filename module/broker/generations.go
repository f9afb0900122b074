// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"encoding/json"
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

// Generations are the configurations that have served, as they are known after a crash of
// this process as well.
func Generations() generations.View {
	host.generations.Sync()
	return host.generations.View()
}

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
	good, err := a.as(g.Config)
	if err != nil {
		a.logger.Error("starting the configuration that served last; the one that was given is started instead", zap.Int("generation", g.Number), zap.Error(err))
		return ""
	}
	a.ChildOptions, a.Children, a.specs, a.doc = good.ChildOptions, good.Children, good.specs, good.doc
	a.Probes, a.Probation, a.ProbationErrors, a.ProbationRequests = good.Probes, good.Probation, good.ProbationErrors, good.ProbationRequests
	return fmt.Sprintf("generation %d serves, which did so last: the configuration that this process was started with was refused at %s (%s); "+
		"`caddy reload --force` loads it if it proves itself now, `caddy broker run --ha --latest` starts it in any case", g.Number, refused.At.Local().Format(time.DateTime), refused.Why)
}

// as is a with the children, and all that is said of them, of another configuration of the
// user's: the options of one that does not serve must not keep another one from serving.
// What is this process's own stays: the network, the state directory.
func (a *App) as(config []byte) (*App, error) {
	d, err := document.Parse(config)
	if err != nil {
		return nil, err
	}
	w, err := wrap(d)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return nil, errors.New("it is not supervised")
	}
	text, err := json.Marshal(w.app)
	if err != nil {
		return nil, err
	}
	as := &App{Network: a.Network, doc: d.From(a.doc.Source), logger: a.logger}
	if err := json.Unmarshal(text, as); err != nil {
		return nil, err
	}
	if err := appTable.Check(as); err != nil {
		return nil, err
	}
	sites := &Child{Verbatim: true}
	if err := sites.run(as.doc); err != nil {
		return nil, err
	}
	if as.Children == nil {
		as.Children = make(map[string]*Child)
	}
	as.Children[DefaultChild], as.Network = sites, a.Network // by whose secrets a child is kept from them
	as.specs, err = as.childSpecs()
	return as, err
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
	if err := host.wentBack(g, serving, why); err != nil {
		return 0, 0, fmt.Errorf("rolling back to generation %d: %w", g.Number, err)
	}
	host.generations.Sync()
	return g.Number, serving.Number, nil
}

// wentBack notes that an operator has let g serve again in the place of another one. It is an
// error if something else serves by now.
func (h *hostState) wentBack(g, from generations.Generation, why string) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.noteRolledBack()
	if d := h.shown.Load(); d == nil || digest(d) != g.Digest {
		return errors.New("it served, and something else does by now: see `caddy broker generations`")
	}
	h.generations.Refuse(generations.Refused{Digest: from.Digest, At: time.Now(), Why: plain.Line(why, maxReload), RolledBack: true})
	noteReload(overview.RolledBack, why)
	h.tellRolledBack(why, nil, false)
	return nil
}

// isSubstituted reports whether Caddy itself has to load the next configuration.
func (h *hostState) isSubstituted() bool {
	h.turn.Lock()
	defer h.turn.Unlock()
	return h.substituted
}
