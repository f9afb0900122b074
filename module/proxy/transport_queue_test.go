// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
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
	aborted := func() uint64 { return pool.Stats().Upstreams[0].Attempts[report.DialAborted] }
	testwait.Until(t, "the time has passed", func() bool { return aborted() > 0 })
	member.Queue.Leave(time.Millisecond)
	if a := <-done; a.status != 200 || a.header.Get("X-Backend") != "home" {
		t.Errorf("got %+v, want the answer of the first backend", a)
	}
	if u := pool.Status().Upstreams[0]; u.State != "up" || u.LastError != "" {
		t.Errorf("the backend is %s, last error %q", u.State, u.LastError)
	}
}
