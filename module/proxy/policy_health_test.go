// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"testing"

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
