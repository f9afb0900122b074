// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestHealthChecksTakePart: what Caddy's own checks find unhealthy gets nothing.
func TestHealthChecksTakePart(t *testing.T) {
	bad, good := answering(t, "bad", 500), newBackendServer(t, "good", nil)
	p := newProxy(t, upstreams(bad.addr(), good.addr()), with("health_checks", map[string]any{
		"passive": map[string]any{"fail_duration": "1h", "max_fails": 2, "unhealthy_status": []int{500}},
	}))
	for range 2 {
		if a := p.do("GET", ""); a.status != 500 {
			t.Fatalf("got %+v", a)
		}
	}
	if a := p.do("GET", ""); a.status != 200 || a.header.Get("X-Backend") != "good" {
		t.Errorf("got %+v, want the healthy backend's answer", a)
	}
}

// TestFullBackend is passed over.
func TestFullBackend(t *testing.T) {
	release := make(chan struct{})
	busy := newBackendServer(t, "busy", func(http.ResponseWriter, *http.Request) { <-release })
	spare := newBackendServer(t, "spare", nil)
	p := newProxy(t, upstreams(busy.addr(), spare.addr()), set("address_options", map[string]any{busy.addr(): map[string]any{"max_requests": 1}}))
	done := make(chan clientAnswer, 1)
	go func() { done <- p.do("GET", "") }()
	testwait.Until(t, "the first backend is full", func() bool { return busy.count.Load() == 1 })
	if a := p.do("GET", ""); a.header.Get("X-Backend") != "spare" {
		t.Errorf("got %+v", a)
	}
	close(release)
	if a := <-done; a.status != 200 {
		t.Errorf("got %+v", a)
	}
	if a := p.do("GET", ""); a.header.Get("X-Backend") != "busy" {
		t.Errorf("the client was moved: %+v", a)
	}
}

// TestUnfitAnswerIsNoFailback: a primary that answers pings, and the request that
// tries it with 503, is not home. It is once it answers one that works.
func TestUnfitAnswerIsNoFailback(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	if testing.Short() {
		t.Skip("it waits for a second trial")
	}
	address := proxytest.DeadAddress(t)
	backup := newBackendServer(t, "backup", nil)
	p := newProxy(t, upstreams(address, backup.addr()), set("priority_backup", true), set("failback_delay", "20ms"),
		set("max_reconnect_delay", "20ms")).start()
	p.awaitMember(address, "down")
	var status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	tried := make(chan struct{}, 1000)
	primary := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tried <- struct{}{}
		w.WriteHeader(int(status.Load()))
	}))
	_ = primary.Listener.Close()
	primary.Listener = proxytest.Revive(t, address)
	primary.Start() // net/http answers pings by itself
	t.Cleanup(primary.Close)
	testwait.Until(t, "it is tried twice", func() bool {
		if got := p.do("GET", ""); got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
			t.Errorf("got %+v", got)
		}
		return len(tried) > 1
	})
	if got := p.members()[address].State; got != "trial" {
		t.Errorf("after answers of 503 it is %s", got)
	}
	status.Store(http.StatusOK)
	testwait.Until(t, "it is home", func() bool {
		p.do("GET", "")
		return p.members()[address].State == "up"
	})
}
