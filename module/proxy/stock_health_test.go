// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// passive configures Caddy's passive health checks.
func passive(config map[string]any) option {
	return with("health_checks", map[string]any{"passive": config})
}

// active configures Caddy's active health checks, often.
func active(config map[string]any) option {
	config["interval"] = "5ms"
	return with("health_checks", map[string]any{"active": config})
}

// eachList runs a test with a configured and with a dynamic list.
func eachList(t *testing.T, test func(t *testing.T, list func(addresses ...string) option)) {
	t.Run("configured", func(t *testing.T) { test(t, upstreams) })
	t.Run("dynamic", func(t *testing.T) {
		test(t, func(addresses ...string) option {
			_, s := source(t, fixed(addresses...))
			return dynamic(s)
		})
	})
}

// TestPassiveHealth: what Caddy counts against a backend keeps requests away from
// it, for dynamic upstreams from one request to the next, too.
func TestPassiveHealth(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config map[string]any
		first  func(t *testing.T) *backendServer
		strike int // answers of the first backend that it takes
	}{
		{"status", map[string]any{"fail_duration": "1h", "max_fails": 3, "unhealthy_status": []int{5}}, func(t *testing.T) *backendServer { return answering(t, "first", 502) }, 3},
		{"status that is none", map[string]any{"fail_duration": "1h", "unhealthy_status": []int{503}}, func(t *testing.T) *backendServer { return answering(t, "first", 502) }, 5},
		{"latency", map[string]any{"fail_duration": "1h", "max_fails": 2, "unhealthy_latency": "1ns"}, func(t *testing.T) *backendServer { return newBackendServer(t, "first", nil) }, 2},
		{"nothing remembered", map[string]any{"unhealthy_status": []int{5}}, func(t *testing.T) *backendServer { return answering(t, "first", 502) }, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachList(t, func(t *testing.T, list func(...string) option) {
				first, second := tc.first(t), newBackendServer(t, "second", nil)
				p := newProxy(t, list(first.addr(), second.addr()), passive(tc.config)).learn(first.addr(), second.addr())
				for n := range 4 { // the second answers twice at most
					want := "second"
					if n < tc.strike {
						want = "first"
					}
					if a := p.do("GET", ""); a.header.Get("X-Backend") != want {
						t.Errorf("request %d: got %+v, want the answer of the %s", n+1, a, want)
					}
				}
			})
		})
	}
}

// TestPassiveHealthOfLostRequests: attempts that fail count for Caddy as well.
func TestPassiveHealthOfLostRequests(t *testing.T) {
	eachList(t, func(t *testing.T, list func(...string) option) {
		first := newRawBackend(t, func(r rawRequest) bool { return r.nth > 1 && r.ok() })
		second := newBackendServer(t, "second", nil)
		p := newProxy(t, list(first.addr(), second.addr()), passive(map[string]any{"fail_duration": "1h"})).learn(first.addr(), second.addr())
		for range 5 {
			if a := p.do("GET", ""); a.header.Get("X-Backend") != "second" {
				t.Errorf("got %+v", a)
			}
		}
		if n := first.seen.Load(); n != 1 {
			t.Errorf("asked %d times after it was found unhealthy", n-1)
		}
	})
}

// TestPassiveHealthIsForgiven after fail_duration.
func TestPassiveHealthIsForgiven(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	first := newBackendServer(t, "first", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(500)
		}
	})
	second := newBackendServer(t, "second", nil)
	p := newProxy(t, upstreams(first.addr(), second.addr()), set("affinity", "request"),
		passive(map[string]any{"fail_duration": "50ms", "unhealthy_status": []int{500}}))
	if a := p.do("GET", ""); a.status != 500 {
		t.Fatalf("got %+v", a)
	}
	broken.Store(false)
	testwait.Until(t, "the first is asked again", func() bool { return p.do("GET", "").header.Get("X-Backend") == "first" })
}

// TestUnhealthyRequestCount: a backend with that many requests in progress is
// passed over.
func TestUnhealthyRequestCount(t *testing.T) {
	eachList(t, func(t *testing.T, list func(...string) option) {
		release := make(chan struct{})
		first := newBackendServer(t, "first", func(http.ResponseWriter, *http.Request) { <-release })
		second := newBackendServer(t, "second", nil)
		p := newProxy(t, list(first.addr(), second.addr()), passive(map[string]any{"unhealthy_request_count": 1})).learn(first.addr(), second.addr())
		done := make(chan clientAnswer, 1)
		go func() { done <- p.do("GET", "") }()
		testwait.Until(t, "the first is busy", func() bool { return first.count.Load() == 1 })
		if a := p.do("GET", ""); a.header.Get("X-Backend") != "second" {
			t.Errorf("got %+v", a)
		}
		close(release)
		if a := <-done; a.header.Get("X-Backend") != "first" {
			t.Errorf("got %+v", a)
		}
		if a := p.do("GET", ""); a.header.Get("X-Backend") != "first" {
			t.Errorf("got %+v when it is free again", a)
		}
	})
}

// TestActiveHealth: a backend whose health check fails gets nothing, and gets
// requests again when it passes.
func TestActiveHealth(t *testing.T) {
	var status atomic.Int32
	status.Store(503)
	health := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(int(status.Load()))
		}
	}
	first, second := newBackendServer(t, "first", health), newBackendServer(t, "second", nil)
	p := newProxy(t, upstreams(first.addr(), second.addr()), set("affinity", "request"),
		active(map[string]any{"uri": "/health", "expect_status": 200}))
	from := func() string { return p.do("GET", "").header.Get("X-Backend") }
	testwait.Until(t, "the check has failed", func() bool { return from() == "second" })
	status.Store(200)
	testwait.Until(t, "the check has passed", func() bool { return from() == "first" })
}

// TestActiveHealthElsewhere: the check asks another port, or goes through a socket.
func TestActiveHealthElsewhere(t *testing.T) {
	b := newBackendServer(t, "b", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(503)
		}
	})
	var asked atomic.Int32
	health := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer health.Close()
	port := int(portOf(t, health.Listener.Addr().String()))

	socket := filepath.Join(t.TempDir(), "b")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	over := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			asked.Add(1)
		}
	}))
	over.Listener = l
	over.Start()
	defer over.Close()

	for name, tc := range map[string]struct {
		address string
		config  map[string]any
	}{
		"port":   {b.addr(), map[string]any{"uri": "/health", "port": port}},
		"socket": {"unix/" + socket, map[string]any{"uri": "/health"}},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			p := newProxy(t, upstreams(tc.address), active(tc.config))
			testwait.Until(t, "it was checked", func() bool { return asked.Load() > 1 })
			if a := p.do("GET", ""); a.status != 200 {
				t.Errorf("got %+v", a)
			}
		})
	}
}
