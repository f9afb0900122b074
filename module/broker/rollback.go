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
	data := map[string]any{"child": c.name, "error": plain.Line(text, maxEventText), "automatic": true}
	if r.Exit != nil && r.Exit.InFlight != nil {
		data["requests"], data["in_doubt"] = r.Exit.InFlight.Requests, r.Exit.InFlight.InDoubt
	}
	h.events.put(supervisor.Event{Name: rolledBackEvent, Data: data})
	refused := generations.Refused{Digest: was, At: time.Now(), Why: plain.Line(text, maxReload)}
	if c.sup.Spec() != r.To { // another load was faster, and serves
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
	h.show(d, a.logger)
	noteReload(overview.RolledBack, text)
	h.generations.Refuse(refused)
	h.served(d, false)
	if w != nil {
		w.save()
	}
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
