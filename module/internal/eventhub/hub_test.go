// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package eventhub

import (
	"encoding/json"
	"testing"
)

func send(h *Hub, n int) { h.Send("broker_test", map[string]any{"n": n}) }

// TestWatcherThatIsTooSlow: one that is as many events behind as are kept for it stays
// with all of them; one more ends its watching, and no other's.
func TestWatcherThatIsTooSlow(t *testing.T) {
	t.Parallel()
	var h Hub
	slow, endSlow := h.Watch(0)
	defer endSlow()
	keen, endKeen := h.Watch(0)
	defer endKeen()
	for n := range watcherQueue + 1 {
		if n == watcherQueue && len(h.watchers) != 2 {
			t.Fatalf("%d watchers are left, though none is behind by more than %d", len(h.watchers), watcherQueue)
		}
		send(&h, n)
		if e := <-keen; e.Data["n"] != n {
			t.Fatalf("the other one got %v, want %d", e.Data, n)
		}
	}
	var got int
	for e := range slow {
		if e.Data["n"] != got {
			t.Fatalf("event %d is %v", got, e.Data)
		}
		got++
	}
	if got != watcherQueue {
		t.Errorf("it got %d events before its end, want %d", got, watcherQueue)
	}
	send(&h, 0)
	if _, ok := <-keen; !ok || len(h.watchers) != 1 {
		t.Errorf("%d watchers are left, the other one among them: %v", len(h.watchers), ok)
	}
}

// TestWatcherThatComesBack gets what it has missed, in order and once, as far as it is
// remembered.
func TestWatcherThatComesBack(t *testing.T) {
	t.Parallel()
	var h Hub
	first, end := h.Watch(0)
	send(&h, 0)
	seen := <-first
	end()
	for n := range 10 {
		send(&h, n+1)
	}
	back, endBack := h.Watch(seen.ID)
	defer endBack()
	send(&h, 11)
	last := seen.ID
	for n := 1; n <= 11; n++ {
		e := <-back
		if e.Data["n"] != n || e.ID <= last || e.Time.IsZero() {
			t.Fatalf("event %d is %v with id %d after %d", n, e.Data, e.ID, last)
		}
		last = e.ID
	}
	for n := range 2 * Remembered {
		send(&h, n)
	}
	for id, want := range map[int64]int{seen.ID: Remembered, h.last[len(h.last)-1].ID: 0, 0: 0, 1 << 62: 0} {
		events, end := h.Watch(id)
		if len(events) != want {
			t.Errorf("after %d come %d events, want %d", id, len(events), want)
		}
		end()
	}
}

// TestAnotherProgramGoesOn: a watcher that comes back to the program that took this one's
// place gets what it has missed, and ids grow on, also where the clock was set back.
func TestAnotherProgramGoesOn(t *testing.T) {
	t.Parallel()
	var former, next Hub
	for n := range 3 * Remembered {
		send(&former, n)
	}
	former.last[Remembered-1].ID += 1 << 40 // of a clock that was ahead
	text, err := json.Marshal(&former)
	if err == nil {
		err = json.Unmarshal(text, &next)
	}
	if err != nil {
		t.Fatal(err)
	}
	send(&next, -1)
	if len(next.last) != Remembered {
		t.Errorf("%d events are remembered", len(next.last))
	}
	back, end := next.Watch(former.last[Remembered-2].ID)
	defer end()
	before, after := <-back, <-back
	if before.ID != former.last[Remembered-1].ID || before.Name != "broker_test" || after.ID <= before.ID || after.Data["n"] != -1 {
		t.Errorf("it gets %+v, then %+v", before, after)
	}
}
