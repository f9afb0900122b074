// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// slowSubscriber takes an event whenever the test lets it.
type slowSubscriber struct {
	turns chan struct{}
	got   []int
}

func (s *slowSubscriber) Handle(_ context.Context, e caddy.Event) error {
	<-s.turns
	n, _ := e.Data["n"].(int)
	s.got = append(s.got, n)
	return nil
}

func numbered(n int) supervisor.Event {
	return supervisor.Event{Name: "child_started", Data: map[string]any{"n": n}}
}

// subscribed is a configuration with one subscriber to all events, and its log.
func subscribed(t *testing.T, s caddyevents.Handler) (*App, *observer.ObservedLogs) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	events := new(caddyevents.App)
	if err := events.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := events.On("", s); err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.ErrorLevel)
	a := &App{ctx: ctx, logger: zap.New(core), events: events, ready: make(chan struct{}), over: make(chan struct{})}
	close(a.ready)
	return a, logged
}

// TestSubscriberThatTakesTooLong: while one holds an event, so many others wait, and of
// more than these the oldest go; this is told once, and in the end how many they were.
func TestSubscriberThatTakesTooLong(t *testing.T) {
	t.Parallel()
	const beyond = 300
	synctest.Test(t, func(t *testing.T) {
		s := &slowSubscriber{turns: make(chan struct{})}
		a, logged := subscribed(t, s)
		p := newEventPump()
		p.follow(a)
		for round := range 2 {
			s.got = nil
			p.put(numbered(-1))
			synctest.Wait() // it has that one
			for n := range maxEvents + beyond {
				p.put(numbered(n))
				if n == maxEvents-1 && logged.Len() > 0 {
					t.Errorf("there is room, and %v is said", logged.All())
				}
			}
			if n := len(p.queue); n != maxEvents {
				t.Errorf("%d events wait, want %d", n, maxEvents)
			}
			if n := logged.FilterMessageSnippet("takes too long").Len(); n != 1 || logged.Len() != 1 {
				t.Errorf("round %d: it is told %d times, in %d lines", round, n, logged.Len())
			}
			for range 1 + maxEvents {
				s.turns <- struct{}{}
			}
			synctest.Wait()
			if len(s.got) != 1+maxEvents || s.got[0] != -1 || s.got[1] != beyond || s.got[maxEvents] != maxEvents+beyond-1 {
				t.Errorf("round %d: the subscriber got %d events, want the one that it held and the %d newest", round, len(s.got), maxEvents)
			}
			end := logged.FilterField(zap.Int("dropped", beyond))
			if end.Len() != 1 || logged.Len() != 2 {
				t.Errorf("round %d: in the end %v is said, want that %d were dropped", round, logged.All(), beyond)
			}
			logged.TakeAll()
		}
		p.follow(nil)
	})
}
