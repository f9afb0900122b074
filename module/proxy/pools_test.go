// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// loaded is a handler of one configuration.
type loaded struct {
	policy *Failover
	unload func()
}

// loadConfig loads handlers of one configuration, as a reload does.
func loadConfig(t *testing.T, handlers ...json.RawMessage) ([]loaded, error) {
	t.Helper()
	loading.Lock()
	defer loading.Unlock()
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContextWithCause(base)
	var list []loaded
	unloaded := false
	unload := func() {
		if !unloaded {
			unloaded = true
			cancel(nil)
		}
	}
	t.Cleanup(unload)
	for _, raw := range handlers {
		mod, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", raw)
		if err != nil {
			unload()
			return nil, err
		}
		list = append(list, loaded{mod.(*reverseproxy.Handler).LoadBalancing.SelectionPolicy.(*Failover), unload})
	}
	return list, nil
}

func mustLoad(t *testing.T, handlers ...json.RawMessage) []loaded {
	t.Helper()
	list, err := loadConfig(t, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func poolNames() string {
	var names []string
	for _, e := range pools.list() {
		names = append(names, e.name)
	}
	return strings.Join(names, " ")
}

// TestPoolsSurviveReloads: the newest configuration in effect decides, what the
// pool learnt stays, and nothing is left when the last one is gone.
func TestPoolsSurviveReloads(t *testing.T) {
	one := newBackendServer(t, "one", nil)
	two := newBackendServer(t, "two", nil)
	first := mustLoad(t, handlerConfig(upstreams(one.addr(), two.addr())))[0]
	if poolNames() != "" {
		t.Errorf("pools %q before the configuration has started", poolNames())
	}
	first.policy.activate()
	pool := first.policy.claim.entry.pool
	if poolNames() != one.addr() {
		t.Errorf("pools %q, want the first address", poolNames())
	}
	u, _ := address.ParseDial(one.addr())
	if err := pools.drain(first.policy.claim.entry, u, true); err != nil {
		t.Fatal(err)
	}

	second := mustLoad(t, handlerConfig(upstreams(one.addr(), two.addr()), set("max_waiting", 7)))[0]
	if got := pool.Status().Options["max_waiting"]; got != 4096 {
		t.Errorf("a configuration that has not started changed the pool: max_waiting %v", got)
	}
	second.policy.activate()
	if second.policy.claim.entry.pool != pool {
		t.Fatal("the reload made another pool")
	}
	if got := pool.Status().Options["max_waiting"]; got != 7 {
		t.Errorf("max_waiting %v, want the new 7", got)
	}
	if s := pool.Status().Upstreams[0].State; s != "drained" {
		t.Errorf("the reload forgot what is drained: %s", s)
	}

	// The second configuration fails to start after all.
	second.unload()
	if got := pool.Status().Options["max_waiting"]; got != 4096 {
		t.Errorf("max_waiting %v after falling back, want the old 4096", got)
	}
	first.unload()
	if poolNames() != "" {
		t.Errorf("pools %q are left", poolNames())
	}
}

// TestConfigurationThatNeverStarts leaves no trace.
func TestConfigurationThatNeverStarts(t *testing.T) {
	b := newRawBackend(t, rawRequest.ok)
	l := mustLoad(t, handlerConfig(upstreams(b.addr())))[0]
	l.unload()
	if len(pools.entries) != 0 {
		t.Errorf("pools are left: %v", pools.entries)
	}
	if n := b.conns.Load(); n != 0 {
		t.Errorf("the backend was reached %d times", n)
	}
}

// TestSharedPool: handlers share a pool by naming it, if they agree.
func TestSharedPool(t *testing.T) {
	a := handlerConfig(upstreams("127.0.0.1:1001"), set("pool", "shared"))
	list := mustLoad(t, a, a)
	if list[0].policy.claim.entry != list[1].policy.claim.entry {
		t.Error("two pools of one name")
	}
	for name, b := range map[string]json.RawMessage{
		"options": handlerConfig(upstreams("127.0.0.1:1001"), set("pool", "shared"), set("max_waiting", 1)),
		"list":    handlerConfig(upstreams("127.0.0.1:1002"), set("pool", "shared")),
		"address options": handlerConfig(upstreams("127.0.0.1:1001"), set("pool", "shared"),
			set("address_options", map[string]any{"127.0.0.1:1001": map[string]any{"max_requests": 1}})),
	} {
		if _, err := loadConfig(t, a, b); err == nil || !strings.Contains(err.Error(), `"shared"`) {
			t.Errorf("other %s: got %v, want an error that names the pool", name, err)
		}
	}
	if n := len(list[0].policy.claim.entry.claims); n != 2 {
		t.Errorf("%d claims, want those of the configuration that was not refused", n)
	}
}

// TestHeldPools reach for no backend until they are let go.
func TestHeldPools(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	pools.hold()
	l := mustLoad(t, handlerConfig(upstreams(b.addr())))[0]
	l.policy.activate()
	if s := l.policy.claim.entry.pool.Status().State; s != "connecting" {
		t.Errorf("a held pool is %s", s)
	}
	pools.start(poolstate.State{})
	testwait.Until(t, "the pool has reached its backend", func() bool {
		return l.policy.claim.entry.pool.Status().State == "connected"
	})
}

// heard is a reporter of events: those of tests that come later have no place.
type heard chan report.Event

func (heard) Changed()             {}
func (heard) Doubt(indoubt.Record) {}

func (h heard) Event(e report.Event) {
	select {
	case h <- e:
	default:
	}
}

// TestEventsReachTheReporter in order.
func TestEventsReachTheReporter(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	events := make(heard, 100)
	pools.report(events)
	p := newProxy(t, upstreams(b.addr()))
	if a := p.do("GET", ""); a.status != 200 {
		t.Fatalf("got %+v", a)
	}
	b.Close()
	go p.Client().Get(p.URL)
	for e := range events {
		if e.Data["pool"] != p.policy.claim.entry.name {
			continue
		}
		if e.Name != "failover_interrupted" || e.Data["upstream"] != "http://"+b.addr() {
			t.Errorf("got %+v, want the loss of the backend", e)
		}
		return
	}
}

// TestDrainOfAPoolThatEnds: the pool is asked for before its last configuration ends,
// and operated after.
func TestDrainOfAPoolThatEnds(t *testing.T) {
	first := mustLoad(t, handlerConfig(upstreams("10.0.0.1:1")))[0]
	first.policy.activate()
	pool := List()[0]
	u, err := address.ParseURI("http://10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	first.unload()
	if err := pool.Drain(u, true); err == nil || !strings.Contains(err.Error(), "has just ended") {
		t.Errorf("got %v", err)
	}
}
