// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// History is what this process remembers of the last hour.
func History() *history.Book { return &host.book }

// sampleRest is how many times as long as a look took nothing is looked at after it: with
// thousands of upstreams the history must not cost more than a hundredth of a processor.
// maxRest bounds that: a look takes long on a busy machine, too, which is when the history
// is needed.
const (
	sampleRest = 100
	maxRest    = time.Minute
)

// rest is how long nothing is looked at after a look. One without an answer cost nothing:
// a process that hangs must not end the history of what follows.
func rest(took time.Duration, answered bool) time.Duration {
	if !answered {
		return history.Period
	}
	return min(max(history.Period, sampleRest*took), maxRest)
}

// sampler looks at the children and their counters again and again. It is guarded by
// hostState.turn.
type sampler struct {
	cancel context.CancelFunc // nil while it rests
	done   chan struct{}
}

// begin makes it look, if it does not yet.
func (s *sampler) begin(h *hostState) {
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		h.sample(ctx)
	}()
}

// end makes it look no more.
func (s *sampler) end() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.cancel = nil
}

// sample looks until ctx is over.
func (h *hostState) sample(ctx context.Context) {
	for {
		began := time.Now()
		h.noteStates()
		answered := h.noteCounters(ctx)
		next := time.NewTimer(rest(time.Since(began), answered))
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
	}
}

// happened remembers an event and tells those who watch.
func (h *hostState) happened(e supervisor.Event) {
	h.book.Happened(history.Event{Time: time.Now(), Name: e.Name, Data: e.Data})
	if strings.HasPrefix(e.Name, "broker_child_") {
		h.noteStates()
	}
	h.events.hub.Send(e.Name, e.Data)
}

// noteStates remembers the states of the children.
func (h *hostState) noteStates() {
	for name, c := range h.list() {
		st := c.sup.Status()
		h.book.Is(name, history.State{Since: st.Since, State: st.State})
	}
	h.book.Only(Names(), time.Now())
}

// noteCounters remembers the counters of the process that serves the sites, and reports
// whether it answered; one that does not is asked again the next time.
func (h *hostState) noteCounters(ctx context.Context) (answered bool) {
	c := h.child(DefaultChild)
	if c == nil {
		return false
	}
	process := c.sup.Status().Pid
	families, err := c.families(ctx)
	if err != nil || process == 0 || process != c.sup.Status().Pid {
		return false
	}
	h.book.Count(process, time.Now(), history.TotalsOf(families))
	return true
}
