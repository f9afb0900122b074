// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

func TestSnapshotSurvives(t *testing.T) {
	var kept []byte
	want := map[int]string{}
	inBubble(t, 5, random, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.downAll("b")
		b.p.AddURIs(uris(7)[5:], false)
		synctest.Wait()
		b.p.SetDrained(map[string]string{"http://d:80": "alice", "http://z:80": "alice"})
		b.p.RemoveURIs(uris(5)[4:])
		b.set(func() { b.hangs["g"] = true })
		b.round(100, nil)
		want = b.round(100, nil)
		time.Sleep(time.Second)
		var err error
		if kept, err = json.Marshal(b.p.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
	inBubble(t, 5, random, func(b *stage) {
		var s report.Snapshot
		if err := json.Unmarshal(kept, &s); err != nil {
			t.Fatal(err)
		}
		b.downAll("b")
		b.p.SetDrained(map[string]string{"http://d:80": "alice"})
		if err := b.p.Restore(s); err != nil {
			t.Fatal(err)
		}
		b.p.Start()
		for i, host := range b.round(100, nil) {
			if host != want[i] {
				t.Errorf("client %d was on %s and is on %s", i, want[i], host)
			}
		}
		for host, state := range map[string]string{"a": "up", "b": "down", "d": "drained", "e": "unknown", "f": "up"} {
			if got := b.state(host); got != state {
				t.Errorf("%s is %s, want %s", host, got, state)
			}
		}
		if v := b.p.view.Load(); v.clocked {
			t.Error("the pool does not know that it has reached a backend before")
		}
		b.up("b")
		time.Sleep(2 * time.Second)
		b.p.Rebalance()
		b.round(100, nil)
		if n := b.told("failover_resumed"); n != 1 {
			t.Errorf("%d events tell that b serves again", n)
		}
	})
	inBubble(t, 2, nil, func(b *stage) {
		if err := b.p.Restore(report.Snapshot{Moved: map[string][]byte{"http://a:80": {1, 2, 3}}}); err == nil {
			t.Error("a damaged snapshot was accepted")
		}
	})
}

// What a process has told of a member, the next one does not tell again: neither its return
// without a request, nor, when a request proves it after a restart, a return that was told.
func TestAReturnIsToldOnceOverARestart(t *testing.T) {
	for name, wait := range map[string]time.Duration{"told by the first": time.Minute, "told by the second": time.Second} {
		t.Run(name, func(t *testing.T) {
			told := 0
			restarted(t, 2, nil, func(b *stage) {
				b.expect("a")
				b.downAll("a")
				b.expect("b")
				b.up("a")
				time.Sleep(wait)
				if s := b.state("a"); s != "trial" {
					t.Fatalf("a is %s", s)
				}
				told += b.told("failover_resumed")
			}, func(b *stage) {
				time.Sleep(time.Second)
				b.downAll("b")
				b.expect("a")
				if s := b.state("a"); s != "up" {
					t.Fatalf("a is %s", s)
				}
				told += b.told("failover_resumed")
			}, nil)
			if told != 1 {
				t.Errorf("its return is told %d times", told)
			}
		})
	}
}

// A manual failover to a member on trial goes on in the next process: it has not broken.
func TestFailoverOnTrialSurvives(t *testing.T) {
	const target = "http://c:80"
	down := []report.DownSnapshot{{Name: target}}
	b := newBench(t, 3, nil)
	if err := b.restore(report.Snapshot{Failover: target, Down: down}); err != nil {
		t.Fatal(err)
	}
	if b.forced != b.members[2] || b.forced.state != stateTrial {
		t.Errorf("the next process sends clients to %+v", b.forced)
	}
	b = newBench(t, 3, nil)
	if err := b.restore(report.Snapshot{Down: down}); err != nil || b.forced != nil || b.members[2].state != stateDown {
		t.Errorf("without a failover it is %v (%v)", b.members[2].state, err)
	}
}

func TestChangesAreTold(t *testing.T) {
	var changes atomic.Int64
	change := func(c *Config) { random(c); c.Changed = func() { changes.Add(1) } }
	inBubble(t, 3, change, func(b *stage) {
		told := func(what string, f func()) {
			b.t.Helper()
			synctest.Wait()
			before := changes.Load()
			f()
			time.Sleep(time.Second)
			if changes.Load() == before {
				b.t.Errorf("%s was not told", what)
			}
		}
		told("the first answer", b.p.Start)
		told("a drain", func() { b.p.Drain(uris(3)[2]) })
		told("a resume", func() { b.p.Resume(uris(3)[2]) })
		told("a manual failover", func() { b.p.Failover(nil) })
		told("its end", func() { b.p.Failback() })
		told("a loss", func() { b.downAll("a"); b.round(20, nil) })
		b.round(20, nil)
		b.p.moves.DropIf(func(uint64, *Member) bool { return true })
		told("an exception", func() { b.round(20, nil) })
		before := changes.Load()
		for range 10 {
			b.round(20, nil)
		}
		time.Sleep(time.Second)
		if changes.Load() > before+1 {
			t.Errorf("%d changes were told without any", changes.Load()-before)
		}
	})
}

func TestReloadKeepsWhatThePoolLearnt(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		members := b.p.Members()
		b.downAll("a")
		b.expect("b")
		cfg := b.p.cfg
		cfg.URIs = []address.URI{uris(4)[3], uris(1)[0], uris(2)[1]} // d, a, b; c is gone
		limit := 7
		cfg.URIs[2].Options.MaxRequests = &limit
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		after := b.p.Members()
		if after[1] != members[0] || after[2] != members[1] || len(after) != 3 {
			t.Fatal("members that stay are not the same")
		}
		if after[2].Limits().MaxRequests != 7 {
			t.Error("the new limit is not in effect")
		}
		if s := b.state("a"); s != "down" {
			t.Errorf("a is %s", s)
		}
		if host := b.pick(&Request{}); host != "b" {
			t.Errorf("clients that are one went to %s", host)
		}
		cfg.Carrier = nil
		if err := b.p.Rebind(cfg); err == nil {
			t.Error("a pool without carrier was accepted")
		}
	})
}
