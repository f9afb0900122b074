// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// restored gives a pool what a process is told, and checks what it made of that.
func restored(t *testing.T, s report.Snapshot) {
	t.Helper()
	pool := proxytest.NewPool(t, "http://10.0.0.1:80", "http://10.0.0.2:80")
	damaged := false
	for _, keys := range s.Moved {
		damaged = damaged || len(keys)%8 != 0
	}
	if err := pool.Restore(s); (err != nil) != damaged {
		t.Fatalf("restored with %v, damaged: %t", err, damaged)
	}
	names := proxytest.Addresses(pool)
	if len(names) == 0 || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Fatalf("the pool has %v", names)
	}
	// Only the operator makes an address one that may lead anywhere.
	trusted := map[string]bool{"http://10.0.0.1:80": true, "http://10.0.0.2:80": true}
	for _, u := range slices.Concat(s.Added, s.Dynamic) {
		trusted[u.Key()] = true
	}
	for _, n := range pool.Said().Named() {
		trusted[n.URI.Key()] = trusted[n.URI.Key()] || n.Trusted
	}
	for m := range pool.All() {
		if !trusted[m.Name] && !m.Restricted() {
			t.Fatalf("%s is dialled unchecked", m.Name)
		}
	}
	if damaged {
		return
	}
	// What it would pass on makes the same pool again.
	again := proxytest.NewPool(t, "http://10.0.0.1:80", "http://10.0.0.2:80")
	if err := again.Restore(pool.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if got := proxytest.Addresses(again); !slices.Equal(got, names) {
		t.Fatalf("%v became %v", names, got)
	}
}

// childSays lets a child report that, and checks what the parent makes of it.
func childSays(t *testing.T, sup *supervisor.Supervisor, topic string, data []byte) {
	t.Helper()
	c := &Hosted{name: "fuzz", sup: sup, pools: &poolKeeper{serving: 1, sockets: []string{"tcp/:1"}}}
	events, end := host.events.hub.Watch(0)
	defer end()
	if topic != parlance.TopicPlan {
		plan := `{"pools":[{"name":"fuzz"},{"name":"other"}]}`
		if err := c.reported(1, parlance.TopicPlan, []byte(plan)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.reported(1, topic, data); err != nil && !errors.Is(err, control.ErrUnreadable) {
		t.Fatalf("its connection goes on after %v", err)
	}
	for len(events) > 0 {
		if e := <-events; !strings.HasPrefix(e.Name, "failover_") || strings.ContainsAny(e.Name, "\r\n") {
			t.Fatalf("it told of %q", e.Name)
		}
	}
	kept := host.doubts.List()
	for _, d := range kept[max(0, len(kept)-1):] {
		if !host.doubts.Gather(d.Pool, d.Backend) {
			t.Fatal("the ledger waits for an event about requests in doubt, which the child has told of")
		}
		host.doubts.Gathered(d.Pool, d.Backend)
		for _, text := range []string{d.Pool, d.Backend, d.Method, d.Host, d.Path, d.RequestID, d.Reason} {
			if len(text) > indoubt.MaxText+len("...") {
				t.Fatalf("%d bytes of one text are kept", len(text))
			}
		}
	}
	if len(kept) > indoubt.Kept {
		t.Fatalf("%d requests in doubt are kept", len(kept))
	}
	sockets := []string{"tcp/:1"} // as before
	if said := []string(nil); topic == parlance.TopicPlain && json.Unmarshal(data, &said) == nil {
		sockets = said
	}
	if !slices.Equal(c.pools.plain(), sockets) {
		t.Fatalf("the sockets are %q, want %q", c.pools.plain(), sockets)
	}

	var carried poolstate.Kept
	for topic, piece := range c.activated(2) {
		if known, err := carried.Take(topic, piece); !known || err != nil {
			t.Fatalf("the next process cannot read the piece %q that it is told: %v", topic, err)
		}
	}
	told, err := carried.State()
	if err != nil {
		t.Fatalf("the next process cannot read what it is told: %v", err)
	}
	if topic != parlance.TopicPlan && len(told.Drains) > 0 || topic != parlance.TopicPool && len(told.Pools) > 0 {
		t.Fatalf("topic %q changed the state of the pools to %+v", topic, told)
	}
	next := []poolstate.Identity{{Name: "fuzz", Named: true, Addresses: []string{"http://10.0.0.1:80", "http://10.0.0.2:80"}}}
	states, drained, _ := told.Merge(next)
	for _, d := range drained {
		if d.Pool != "" && d.Pool != "fuzz" {
			t.Fatalf("decision %+v is kept", d)
		}
	}
	if states[0] != nil {
		restored(t, states[0].Snapshot)
	}
}

// FuzzReported: whatever a child reports, the parent remembers a bounded part of
// it, speaks in its name only of pools, and passes on to the next process nothing
// but the state, which makes a pool of its configuration again.
func FuzzReported(f *testing.F) {
	topics := []string{
		parlance.TopicPlan, parlance.TopicPool, parlance.TopicMoved, parlance.TopicPlain, parlance.TopicEvent, parlance.TopicDoubt, parlance.TopicCut, "other",
	}
	for _, said := range [][2]string{
		{parlance.TopicPool, `{"name":"fuzz","named":true,"reached":true,"removed":[{"Scheme":"http","Host":"10.0.0.1","Port":"80"},{"Scheme":"http","Host":"10.0.0.2","Port":"80"}]}`},
		{parlance.TopicPool, `{"name":"fuzz","named":true,"added":[{"Scheme":"http","Host":"a","Port":"80"},{"Scheme":"http","Host":"a","Port":"80"}],"unproved":["http://a:80"],"moved":{"http://a:80":"AAAAAAAAAAE="}}`},
		{parlance.TopicPool, `{"name":"fuzz","named":true,"sources":{"x":{"uris":["http://b:80","?"]},"y":{"uris":["http://b:80","unix//c"],"trusted":true}},"down":[{"name":"http://b:80","since":"2100-01-01T00:00:00Z","error":"e"}],"failover":"http://b:80"}`},
		{parlance.TopicPlan, `{"pools":[{"name":"fuzz"},null],"drains":[null,{"address":"http://a:80","pool":"b"}]}`},
		{parlance.TopicMoved, `{"pool":"fuzz","part":1,"to":[{"name":"http://10.0.0.1:80","keys":"AAAAAAAAAAE="}]}`},
		{parlance.TopicMoved, `{"pool":"fuzz","part":1,"to":[{"name":"http://10.0.0.1:80","keys":"AA=="}]}`},
		{parlance.TopicPlain, `["tcp/:80",null]`},
		{parlance.TopicPlain, `["tcp/:80",1]`},
		{parlance.TopicEvent, `{"Name":"failover_resumed","Data":{"pool":"a"}}`},
		{parlance.TopicEvent, `{"name":"broker_child_exited\n\n","data":null}`},
		{parlance.TopicDoubt, `{"pool":"a","backend":"http://a:80","path":"/"}`},
		{parlance.TopicCut, `[{"pool":"a"},{},null]`},
		{"other", `null`},
	} {
		f.Add(uint8(slices.Index(topics, said[0])), []byte(said[1]))
	}
	sup := supervisor.New(supervisor.Config{Name: "fuzz"})
	f.Cleanup(sup.Close)
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		if !json.Valid(data) {
			return // the connection ends there
		}
		childSays(t, sup, topics[int(n)%len(topics)], data)
	})
}

// TestReportsAreBounded: a child that says too much is remembered in part, and keeps
// no process from being started after it.
func TestReportsAreBounded(t *testing.T) {
	sup := supervisor.New(supervisor.Config{Name: "bounded"})
	defer sup.Close()
	for _, said := range [][2]string{
		{parlance.TopicDoubt, `{"path":"` + strings.Repeat("/", 2*indoubt.MaxText) + `"}`},
		{parlance.TopicCut, "[" + strings.Repeat("{},", 2*indoubt.Kept) + "{}]"},
		{parlance.TopicPool, strings.Repeat("[", 9999) + strings.Repeat("]", 9999)},
	} {
		t.Run(said[0], func(t *testing.T) { childSays(t, sup, said[0], []byte(said[1])) })
	}
}
