// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// Kept is how long something is remembered.
	Kept = Slots * Period
	// maxEvents bounds the events that are remembered, and maxStates those of one child.
	maxEvents = 256
	maxStates = 128
	// maxSeries bounds the pools and upstreams that have a history.
	maxSeries = 256
)

// Event is something that has happened.
type Event struct {
	Time time.Time
	Name string
	Data map[string]any
}

// State is what a child came into at a moment. One that is empty says that the child is
// gone.
type State struct {
	Since time.Time
	State string
}

// Book is what is remembered. The zero value is empty. It may be used by many goroutines.
type Book struct {
	mu      lockorder.Mutex[Book]
	events  []Event            // by mu; the oldest first
	states  map[string][]State // by mu; by child, the oldest first
	series  map[Key]*series    // by mu
	process int                // by mu; of the totals in series
}

// Happened remembers an event.
func (b *Book) Happened(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = push(b.events, e, maxEvents)
}

// Events returns what is remembered of events since then, the oldest first.
func (b *Book) Events(since time.Time) []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	for i < len(b.events) && b.events[i].Time.Before(since) {
		i++
	}
	return slices.Clone(b.events[i:])
}

// Is remembers what state a child is in. What is told again is not noted twice.
func (b *Book) Is(child string, s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states == nil {
		b.states = make(map[string][]State)
	}
	list := b.states[child]
	if n := len(list); n > 0 {
		if last := list[n-1]; !s.Since.After(last.Since) {
			return
		}
	}
	b.states[child] = push(list, s, maxStates)
}

// Only forgets the children that have been gone for as long as anything is kept; those
// that are not named are gone at that moment.
func (b *Book) Only(children []string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, list := range b.states {
		last := list[len(list)-1]
		switch {
		case slices.Contains(children, name):
		case last.State != "":
			b.states[name] = push(list, State{Since: now}, maxStates)
		case now.Sub(last.Since) > Kept:
			delete(b.states, name)
		}
	}
}

// States are those of a child that reach into the time since then, the oldest first.
func (b *Book) States(child string, since time.Time) []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.states[child]
	i := 0
	for i+1 < len(list) && !list[i+1].Since.After(since) {
		i++
	}
	return slices.Clone(list[i:])
}

// push adds an element to a list of at most limit, whose oldest one it may take the place
// of.
func push[E any](list []E, e E, limit int) []E {
	if len(list) >= limit {
		list = slices.Delete(list, 0, len(list)-limit+1)
	}
	return append(list, e)
}
