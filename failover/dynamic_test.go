// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

func withDynamic(c *Config) { c.Dynamic = true }

// discover tells the pool what the dynamic source names, and returns what came
// and went.
func (b *stage) discover(hosts ...string) (added, removed int) {
	b.t.Helper()
	var list []address.URI
	for _, h := range hosts {
		list = append(list, address.URI{Scheme: "http", Host: h, Port: "80"})
	}
	added, removed, err := b.p.Discover(list)
	if err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return added, removed
}

func (b *stage) expectHosts(when string, want ...string) {
	b.t.Helper()
	if got := b.hosts(); !slices.Equal(got, want) {
		b.t.Errorf("%s: members %v, want %v", when, got, want)
	}
}

// Only what the dynamic source alone had named is forgotten: not the configured
// addresses that stand in when it fails, and whatever else is gone already.
func TestDynamicIsForgotten(t *testing.T) {
	inBubble(t, 2, withDynamic, func(b *stage) {
		b.p.Start()
		b.discover("a", "b", "x", "y", "z")
		if _, err := b.p.AddURIs([]address.URI{{Scheme: "http", Host: "z", Port: "80"}}, false); err != nil {
			t.Fatal(err)
		}
		if _, err := b.p.RemoveURIs([]address.URI{{Scheme: "http", Host: "y", Port: "80"}}); err != nil {
			t.Fatal(err)
		}
		b.discover("a", "b", "x", "y", "z")
		b.expectHosts("after y was removed", "a", "b", "x", "z")
		s := membership.New()
		b.say(s, "list", false, "x", "w")
		time.Sleep(dynamicFor - time.Second)
		b.discover("n", "w")
		b.expectHosts("shortly before", "a", "b", "x", "z", "w", "n")
		time.Sleep(time.Second)
		b.discover("n")
		b.expectHosts("x is still in the list", "a", "b", "x", "z", "w", "n")
		if b.say(s, "list", false, "v"); !slices.Equal(b.hosts(), []string{"a", "b", "z", "w", "n", "v"}) {
			t.Errorf("members %v: x goes with the list, and w is the dynamic source's now", b.hosts())
		}
		time.Sleep(dynamicFor)
		if _, removed := b.discover("n"); removed != 1 {
			t.Errorf("%d removed, want w alone", removed)
		}
		synctest.Wait()
		b.expectHosts("in the end", "a", "b", "z", "n", "v")
	})
}

// An address that only the dynamic source named serves nobody when the source is
// no longer configured, in this process and in the next.
func TestDynamicEndsWithItsSource(t *testing.T) {
	inBubble(t, 1, withDynamic, func(b *stage) {
		b.p.Start()
		b.discover("x", "y")
		if _, err := b.p.AddURIs([]address.URI{{Scheme: "http", Host: "z", Port: "80"}}, false); err != nil {
			t.Fatal(err)
		}
		b.say(membership.New(), "list", false, "y")
		synctest.Wait()
		kept, cfg := b.p.Snapshot(), b.p.cfg
		if len(kept.Added) != 1 || len(kept.Dynamic) != 2 {
			t.Errorf("the snapshot has %v added and %v of the dynamic source", kept.Added, kept.Dynamic)
		}
		restored := func(dynamic bool, want int) {
			t.Helper()
			cfg := cfg
			cfg.Dynamic = dynamic
			p, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Restore(kept); err != nil {
				t.Fatal(err)
			}
			if n := len(p.Members()); n != want {
				t.Errorf("%d members in the next process, want %d", n, want)
			}
		}
		restored(true, 4)
		restored(false, 3)
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		b.expectHosts("after a reload", "a", "x", "y", "z")
		cfg.Dynamic = false
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		b.expectHosts("without the source", "a", "y", "z")
		for _, m := range b.p.Members() {
			if want := m.URI.Host == "y"; m.Restricted() != want {
				t.Errorf("%s restricted: %t", m.Name, m.Restricted())
			}
		}
		if added, _ := b.discover("x"); added != 0 {
			t.Error("a request of the earlier configuration brought x back")
		}
	})
}

// What the operator removed stays away from the dynamic source, too, but the pool
// is never left without addresses.
func TestDynamicBringsBackTheLast(t *testing.T) {
	inBubble(t, 0, withDynamic, func(b *stage) {
		if err := b.p.Restore(report.Snapshot{Removed: uris(1)}); err != nil {
			t.Fatal(err)
		}
		b.p.Start()
		b.discover("a", "b")
		b.expectHosts("with another", "b")
	})
	inBubble(t, 0, withDynamic, func(b *stage) {
		if err := b.p.Restore(report.Snapshot{Removed: uris(1)}); err != nil {
			t.Fatal(err)
		}
		b.p.Start()
		b.discover("a")
		b.expectHosts("alone", "a")
	})
}
