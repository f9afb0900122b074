// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// origin is what a spec of the sites was made of.
type origin struct {
	doc   *document.Document
	sites *Child
	spec  *childSpec
}

// madeOf notes what the spec of the sites was made of, before it is given to anyone.
func (s *childSpec) madeOf(d *document.Document, sites *Child) {
	s.Origin = &origin{d, sites, s}
}

// rolledBack hears that the sites are again what they were before the last load. It is
// noted by the next one who has the turn: a load that has it already may come first, and
// one that comes later finds out what serves.
func (c *Hosted) rolledBack(r supervisor.RolledBack) {
	c.backs <- r // each needs a load before it, which has taken out the last one
	go host.catchUp()
}

// catchUp notes what was rolled back, if anything was.
func (h *hostState) catchUp() {
	if c := h.child(DefaultChild); c == nil || len(c.backs) == 0 {
		return
	}
	h.turn.Lock()
	defer h.turn.Unlock()
	h.noteRolledBack()
}

// noteRolledBack makes what serves again the configuration that decides. h.turn is held.
func (h *hostState) noteRolledBack() {
	c := h.child(DefaultChild)
	for c != nil {
		select {
		case r := <-c.backs:
			from, _ := r.From.Origin.(*origin)
			to, _ := r.To.Origin.(*origin)
			if a := h.deciding(); a != nil && from != nil && to != nil {
				h.goBack(c, a, from, to, r)
			}
		default:
			return
		}
	}
}

func (h *hostState) goBack(c *Hosted, a *App, from, to *origin, r supervisor.RolledBack) {
	why := r.Why
	if r.Exit != nil {
		why = fmt.Sprintf("its process ended after %s: %s", overview.Span(time.Duration(r.Exit.Uptime*float64(time.Second))), overview.Ended(r.Exit))
	}
	was := digest(from.doc)
	text := fmt.Sprintf("generation %d was rolled back to generation %d: %s; %s is not what runs",
		h.generations.Number(was), h.generations.Number(digest(to.doc)),
		cmp.Or(why, "its process cannot be ended"), loadedLast(from.doc))
	refused := generations.Refused{Digest: was, At: time.Now(), Why: plain.Line(text, maxReload), RolledBack: true}
	if c.sup.Spec() != r.To { // another load was faster, and serves
		h.tellRolledBack(text, r.Exit, true)
		h.generations.Refuse(refused)
		return
	}
	w, err := wrap(to.doc)
	same := false
	if err == nil && w != nil {
		same, err = sameAround(from.doc, w)
	}
	if err != nil {
		a.logger.Error("comparing the configurations after a roll-back", zap.Error(err))
	}
	h.substituted = h.substituted || !same
	d := to.doc.From(to.doc.Source)
	d.By = "roll-back by itself"
	a.doc, a.Children[DefaultChild], a.specs[DefaultChild] = d, to.sites, to.spec
	c.adopt(to.spec)
	h.generations.Refuse(refused)
	h.undone = undone{h.shown.Load(), text}
	h.show(d, a.logger)
	noteReload(overview.RolledBack, text)
	h.tellRolledBack(text, r.Exit, true)
	h.served(d, false)
	if w != nil {
		w.save()
	}
}

// undone is the last document that was rolled back.
type undone struct {
	doc *document.Document
	why string
}

// rolledBackError is why a load has failed that had come to serve.
type rolledBackError struct{ why string }

func (e rolledBackError) Error() string { return e.why }

func (rolledBackError) Unwrap() error { return document.ErrUndone }

// keeps returns an error if d, which has just come to serve, was rolled back already: who
// has loaded it must not take it for what runs.
func (h *hostState) keeps(d *document.Document) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.noteRolledBack()
	if h.undone.doc == d {
		return rolledBackError{h.undone.why}
	}
	return nil
}

// rolledBackEvent says that something else serves than what was loaded last.
const rolledBackEvent = "broker_reload_rolled_back"

// tellRolledBack says that, and why; exit is how the process ended that was rolled back,
// nil if it did not end by itself.
func (h *hostState) tellRolledBack(why string, exit *exits.Exit, automatic bool) {
	data := map[string]any{"child": DefaultChild, "error": plain.Line(why, maxEventText), "automatic": automatic}
	if exit != nil && exit.InFlight != nil {
		data["requests"], data["in_doubt"] = exit.InFlight.Requests, exit.InFlight.InDoubt
	}
	h.events.put(supervisor.Event{Name: rolledBackEvent, Data: data})
}

// RolledBack is why something else serves than what was loaded last; empty is that it does
// not.
func RolledBack() string {
	if r := LastReload(); r != nil {
		return r.RolledBack
	}
	return ""
}

// saveAgain saves what serves, if that is not what Caddy has just saved.
func (h *hostState) saveAgain(loaded *document.Document) {
	h.turn.Lock()
	defer h.turn.Unlock()
	if serves := h.shown.Load(); serves != nil && serves != loaded {
		if w, err := wrap(serves); err == nil && w != nil {
			w.save()
		}
	}
}

// loadedLast names what serves no more.
func loadedLast(d *document.Document) string {
	if d.Source == nil {
		return "what was loaded last"
	}
	return "the file on disk"
}
