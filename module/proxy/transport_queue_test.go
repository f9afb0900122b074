// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestWaitingForATurnToDialSaysNothingOfTheBackend: connection_timeout passes
// while others make their connections.
func TestWaitingForATurnToDialSaysNothingOfTheBackend(t *testing.T) {
	home, other := newBackendServer(t, "home", nil), newBackendServer(t, "other", nil)
	p := newProxy(t, upstreams(home.addr(), other.addr()), set("nested", map[string]any{"connection_timeout": "50ms"}))
	pool := p.policy.claim.entry.pool
	member := pool.Members()[0]
	for range failover.DialWidth {
		if err := member.Queue.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan clientAnswer, 1)
	go func() { done <- p.do("GET", "") }()
	aborted := func() uint64 { return pool.Stats().Upstreams[0].Attempts[failover.DialAborted] }
	testwait.Until(t, "the time has passed", func() bool { return aborted() > 0 })
	member.Queue.Leave(time.Millisecond)
	if a := <-done; a.status != 200 || a.header.Get("X-Backend") != "home" {
		t.Errorf("got %+v, want the answer of the first backend", a)
	}
	if u := pool.Status().Upstreams[0]; u.State != "up" || u.LastError != "" {
		t.Errorf("the backend is %s, last error %q", u.State, u.LastError)
	}
}

// TestADialThatComesLateIsNotMade: net/http begins to dial for an attempt when the
// request is at another backend already.
func TestADialThatComesLateIsNotMade(t *testing.T) {
	first, second := newBackendServer(t, "first", nil), newBackendServer(t, "second", nil)
	p := newProxy(t, upstreams(first.addr(), second.addr()))
	f := p.policy
	members := f.claim.entry.pool.Members()
	f.way.Backend(members[0])
	ex := &exchange{policy: f}
	now := &try{errand: errand{Backend: f.way.Backend(members[1]), Abandoned: t.Context()}}
	ex.try.Store(now)
	ctx := &errand{Context: t.Context(), Run: ex}
	if _, err := f.way.http.DialContext(ctx, "tcp", first.addr()); !errors.Is(err, fault.ErrAbandoned) || now.Dialed() {
		t.Errorf("got %v, noted as a dial of the second attempt: %t", err, now.Dialed())
	}
	for what, addr := range map[string]string{"its own": second.addr(), "a proxy's": newBackendServer(t, "proxy", nil).addr()} {
		nc, err := f.way.http.DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		_ = nc.Close()
	}
}
