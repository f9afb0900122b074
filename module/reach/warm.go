// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// The states of a warm connection in status.
const (
	warmNone       = ""
	warmConnecting = "connecting"
	warmReady      = "warm"
	warmRefused    = "refused"
)

const (
	// warmCheck is how often a held connection is pinged: before the backend
	// tires of it.
	warmCheck = 2 * time.Second
	// warmShort is the life of a connection that is too short to be worth it, and
	// warmDeaths how many may die in warmWindow.
	warmShort  = time.Second
	warmWindow = time.Minute
	warmDeaths = 3
)

// warmSet are the warm connections that one handler holds.
type warmSet struct {
	mu  lockorder.Mutex[warmSet]
	all map[*failover.Member]*warmer
}

// warmer keeps one connection to a backend ready until its context ends:
// dialled, TLS done, one ping answered.
type warmer struct {
	way     *Way
	backend *Backend
	cancel  context.CancelFunc
	done    chan struct{}
}

// Warm holds warm connections to members, and to no others.
func (w *Way) Warm(members []*failover.Member) {
	if !w.Owned() || w.personal() {
		return // its connections are not ours to make, or belong to one client each
	}
	s := &w.warmers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*failover.Member]*warmer)
	}
	wanted := make(map[*failover.Member]bool, len(members))
	for _, m := range members {
		wanted[m] = true
		if s.all[m] == nil && w.ctx.Err() == nil {
			ctx, cancel := context.WithCancel(w.ctx)
			one := &warmer{way: w, backend: w.Backend(m), cancel: cancel, done: make(chan struct{})}
			s.all[m] = one
			go one.run(ctx)
		}
	}
	for m, one := range s.all {
		if !wanted[m] {
			delete(s.all, m)
			one.cancel()
		}
	}
}

// Close ends all warmers and waits for them.
func (w *Way) Close() {
	s := &w.warmers
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, one := range all {
		one.cancel()
		<-one.done
	}
}

// run holds a connection, and makes a new one when it was taken or has died.
func (w *warmer) run(ctx context.Context) {
	defer close(w.done)
	defer w.backend.Member.SetBackup(warmNone)
	var deaths []time.Time
	for ctx.Err() == nil {
		w.backend.Member.SetBackup(warmConnecting)
		began := time.Now()
		state := w.hold(ctx)
		if ctx.Err() != nil {
			return
		}
		if state == warmReady {
			continue // it was taken: the next one, at once
		}
		now := time.Now()
		deaths = append(deaths, now)
		for now.Sub(deaths[0]) > warmWindow {
			deaths = deaths[1:]
		}
		pause := warmShort
		if state == warmRefused || now.Sub(began) < warmShort || len(deaths) >= warmDeaths {
			pause = max(pause, w.way.Options.MaxReconnectDelay)
		}
		w.backend.Member.SetBackup(warmRefused)
		wait(ctx, pause)
	}
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
