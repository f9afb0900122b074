// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package eventhub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// watcherQueue bounds what one watcher may be behind.
	watcherQueue = 256
	// Remembered is how many events there are for watchers that come back. One has
	// 16 KiB of data at most.
	Remembered = 256
)

// Event is something that has happened.
type Event struct {
	// ID is unique and grows from one event to the next, also over a restart of the
	// process: it is the time in microseconds, or the next number if that is taken.
	ID   int64
	Time time.Time
	Name string
	Data map[string]any
}

// Hub hands events to watchers. One that does not keep up is disconnected. The zero value
// is ready to use.
type Hub struct {
	mu       lockorder.Mutex[Hub]
	watchers map[chan Event]struct{}
	last     []Event // the newest last
}

// MarshalJSON has the events that are remembered.
func (h *Hub) MarshalJSON() ([]byte, error) {
	h.mu.Lock()
	last := slices.Clone(h.last)
	h.mu.Unlock()
	return json.Marshal(last)
}

// UnmarshalJSON goes on with the events that the hub of an earlier program remembered: ids
// grow on, and those who watched that one hear what they have missed.
func (h *Hub) UnmarshalJSON(text []byte) error {
	var last []Event
	if err := json.Unmarshal(text, &last); err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = slices.Concat(last, h.last)
	h.last = h.last[max(0, len(h.last)-Remembered):]
	return nil
}

// Watch returns a channel of events, which is closed when the watcher was too slow. It
// begins with those remembered that came after the one with the id after, 0 with none.
func (h *Hub) Watch(after int64) (events <-chan Event, end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var missed []Event
	if after > 0 {
		first, _ := slices.BinarySearchFunc(h.last, after+1, func(e Event, id int64) int { return cmp.Compare(e.ID, id) })
		missed = h.last[first:]
	}
	ch := make(chan Event, watcherQueue+len(missed))
	for _, e := range missed {
		ch <- e
	}
	if h.watchers == nil {
		h.watchers = make(map[chan Event]struct{})
	}
	h.watchers[ch] = struct{}{}
	return ch, func() { h.remove(ch) }
}

func (h *Hub) remove(ch chan Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[ch]; ok {
		delete(h.watchers, ch)
		close(ch)
	}
}

// Send tells of an event that happens now.
func (h *Hub) Send(name string, data map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	e := Event{ID: now.UnixMicro(), Time: now, Name: name, Data: data}
	if n := len(h.last); n > 0 {
		e.ID = max(e.ID, h.last[n-1].ID+1)
	}
	if len(h.last) == Remembered {
		h.last = slices.Delete(h.last, 0, 1)
	}
	h.last = append(h.last, e)
	for ch := range h.watchers {
		select {
		case ch <- e:
		default:
			delete(h.watchers, ch)
			close(ch)
		}
	}
}
