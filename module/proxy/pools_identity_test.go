// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// reload loads handlers as the configuration in effect and ends the one before.
func reload(t *testing.T, before []loaded, handlers ...json.RawMessage) []loaded {
	t.Helper()
	list := mustLoad(t, handlers...)
	for _, l := range list {
		l.policy.activate()
	}
	if len(before) > 0 {
		before[0].unload()
	}
	return list
}

// decide carries out what the operator decides about an address of a pool, or of all.
func decide(t *testing.T, pool, operation, at string) {
	t.Helper()
	u, err := address.ParseURI("http://" + at)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case operation == "failover":
		err = pools.find(pool).pool.Failover(&u)
	case pool == "":
		pools.drainEverywhere(u.Name(), operation == "drain", "a test")
	default:
		err = pools.drain(pools.find(pool), u, operation == "drain", "a test")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// drained lists what is drained, as pool's first address and the backend.
func drained() string {
	var list []string
	for _, e := range pools.list() {
		for _, u := range e.pool.Status().Upstreams {
			if u.State == "drained" {
				list = append(list, e.identity().Addresses[0]+">"+u.URI)
			}
		}
	}
	slices.Sort(list)
	return strings.ReplaceAll(strings.Join(list, " "), "http://10.0.0.", "")
}

func (l loaded) name() string { return l.policy.claim.entry.name }

// TestPoolNames: by the first address, and with a digest where that does not do.
// No name depends on the order in the file, or on what was there before.
func TestPoolNames(t *testing.T) {
	a := handlerConfig(upstreams("10.0.0.1:1", "10.0.0.2:1"))
	b := handlerConfig(upstreams("10.0.0.1:1", "10.0.0.3:1"))
	c := handlerConfig(upstreams("10.0.0.1:1"), set("pool", "mine"))
	first := reload(t, nil, a, b, c, a)
	if first[0].policy.pool != first[3].policy.pool || first[0].policy.pool == first[1].policy.pool {
		t.Error("handlers share a pool if they have the same list and options, and only then")
	}
	digest := regexp.MustCompile(`^10\.0\.0\.1:1-[0-9a-f]{6}$`)
	if !digest.MatchString(first[0].name()) || !digest.MatchString(first[1].name()) || first[2].name() != "mine" {
		t.Errorf("the pools are called %s", poolNames())
	}
	names, pool := []string{first[0].name(), first[1].name()}, first[1].policy.pool
	second := reload(t, first, c, b, a)
	if second[2].name() != names[0] || second[1].name() != names[1] {
		t.Errorf("in another order they are called %s, were %v", poolNames(), names)
	}
	if second[1].policy.pool != pool {
		t.Error("a pool noticed the reload")
	}
	third := reload(t, second, b)
	if third[0].name() != "10.0.0.1:1" {
		t.Errorf("alone the pool is called %s", third[0].name())
	}
	third[0].unload()
	if len(pools.entries)+len(pools.generations) != 0 {
		t.Errorf("left are %v, %v", pools.entries, pools.generations)
	}
}

// TestDynamicSourcesAreNotMixed: handlers that differ in nothing but what names
// their upstreams are two pools.
func TestDynamicSourcesAreNotMixed(t *testing.T) {
	_, one := source(t, fixed("10.0.0.1:1"))
	_, two := source(t, fixed("10.0.0.2:1"))
	list := reload(t, nil, handlerConfig(dynamic(one)), handlerConfig(dynamic(two)), handlerConfig(dynamic(one)))
	if list[0].policy.pool == list[1].policy.pool || list[0].policy.pool != list[2].policy.pool {
		t.Errorf("the pools are %s, %s, %s", list[0].name(), list[1].name(), list[2].name())
	}
}

// TestDrainsStayWithTheirBackend, whatever happens to the sites around it.
func TestDrainsStayWithTheirBackend(t *testing.T) {
	a := handlerConfig(upstreams("10.0.0.1:1", "10.0.0.2:1"))
	b := handlerConfig(upstreams("10.0.0.1:1", "10.0.0.3:1"))
	now := reload(t, nil, a, b)
	decide(t, now[1].name(), "drain", "10.0.0.3:1")
	longer := handlerConfig(upstreams("10.0.0.4:1", "10.0.0.1:1", "10.0.0.3:1"))
	third := handlerConfig(upstreams("10.0.0.3:1"))
	for _, tc := range []struct {
		name     string
		handlers []json.RawMessage
		want     string
	}{
		{"in another order", []json.RawMessage{b, a}, "1:1>3:1"},
		{"a site less", []json.RawMessage{b}, "1:1>3:1"},
		{"a site more that has it", []json.RawMessage{third, b}, "1:1>3:1 3:1>3:1"},
		{"an address in front", []json.RawMessage{a, longer}, "4:1>3:1"},
		{"no site that has it", []json.RawMessage{a}, ""},
		{"forgotten by then", []json.RawMessage{a, b}, ""},
	} {
		now = reload(t, now, tc.handlers...)
		if got := drained(); got != tc.want {
			t.Errorf("%s: drained are %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestDrainsOfConfigurationsThatFail: what was decided holds after the return to
// the configuration before.
func TestDrainsOfConfigurationsThatFail(t *testing.T) {
	now := reload(t, nil, handlerConfig(upstreams("10.0.0.1:1", "10.0.0.2:1")))
	decide(t, "", "drain", "10.0.0.2:1")
	failed := mustLoad(t, handlerConfig(upstreams("10.0.0.1:1")))
	failed[0].policy.activate()
	failed[0].unload()
	if got := drained(); got != "1:1>2:1" {
		t.Errorf("drained are %q", got)
	}
	now[0].unload()
}

// TestDrainsOfNamedPools: a pool that the user named can be spoken of alone.
func TestDrainsOfNamedPools(t *testing.T) {
	list := upstreams("10.0.0.1:1", "10.0.0.2:1")
	a, n, m := handlerConfig(list), handlerConfig(list, set("pool", "n")), handlerConfig(list, set("pool", "m"))
	now := reload(t, nil, a, n, m)
	want := func(step, n string, all int) {
		t.Helper()
		states := func(e *poolEntry) string { return e.pool.Status().Upstreams[1].State }
		got := 0
		for _, e := range pools.list() {
			if states(e) == "drained" {
				got++
			}
		}
		if s := states(pools.find("n")); (s == "drained") != (n == "drained") || got != all {
			t.Errorf("%s: the backend is %s in pool n, drained in %d, want %s and %d", step, s, got, n, all)
		}
	}
	decide(t, "n", "drain", "10.0.0.2:1")
	want("drained in n", "drained", 1)
	now = reload(t, now, m, n, a)
	want("after a reload", "drained", 1)
	decide(t, "", "drain", "10.0.0.2:1")
	want("drained everywhere", "drained", 3)
	decide(t, "n", "resume", "10.0.0.2:1")
	want("resumed in n", "serving", 2)
	now = reload(t, now, n, a, m)
	want("after another reload", "serving", 2)
	decide(t, "", "resume", "10.0.0.2:1")
	want("resumed everywhere", "serving", 0)
	now[0].unload()
}

// backendAddresses are the addresses of n backends.
func backendAddresses(t *testing.T, n int) (list []string) {
	for range n {
		list = append(list, newBackendServer(t, "", nil).addr())
	}
	return list
}

// TestManualFailoverFollowsItsPool to where most of its addresses are, and not to
// what has its name now.
func TestManualFailoverFollowsItsPool(t *testing.T) {
	at := backendAddresses(t, 5)
	now := reload(t, nil, handlerConfig(upstreams(at[0], at[1], at[2])))
	decide(t, at[0], "failover", at[1])
	now = reload(t, now,
		handlerConfig(upstreams(at[0], at[4])),
		handlerConfig(upstreams(at[3], at[0], at[1], at[2])))
	for i, want := range []string{"", "http://" + at[1]} {
		if got := now[i].policy.claim.entry.pool.Snapshot().Failover; got != want {
			t.Errorf("pool %s: clients were moved to %q, want %q", now[i].name(), got, want)
		}
	}
	now[0].unload()
}

// TestHeldPoolsBeginWithWhatIsKnown, also when another process had other names.
func TestHeldPoolsBeginWithWhatIsKnown(t *testing.T) {
	at := backendAddresses(t, 3)
	before := reload(t, nil, handlerConfig(upstreams(at[0], at[1])))
	decide(t, "", "drain", at[0])
	decide(t, at[0], "failover", at[1])
	var kept poolstate.Kept
	sender := poolstate.NewSender(new(poolstate.Kept), func(topic string, piece json.RawMessage) error {
		_, err := kept.Take(topic, piece)
		return err
	})
	if _, err := sender.Send(pools.kept()); err != nil {
		t.Fatal(err)
	}
	before[0].unload()
	learnt, err := kept.State()
	if err != nil {
		t.Fatal(err)
	}
	pools.hold()
	now := reload(t, nil, handlerConfig(upstreams(at[2], at[0], at[1])))
	if got := drained(); got != "" {
		t.Errorf("before its time the process knows of %q", got)
	}
	pools.start(learnt)
	if got := drained(); got != "http://"+at[2]+">http://"+at[0] {
		t.Errorf("drained are %q", got)
	}
	if got := now[0].policy.claim.entry.pool.Snapshot().Failover; got != "http://"+at[1] {
		t.Errorf("clients were moved to %q", got)
	}
	now[0].unload()
}
