// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestManualFailover(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		must := func(err error) {
			b.t.Helper()
			if err != nil {
				b.t.Fatal(err)
			}
		}
		must(b.p.Failover(nil)) // to the next in the order
		b.expect("b")
		must(b.p.Failover(nil))
		b.expect("c")
		must(b.p.Failover(nil)) // and around
		b.expect("a")
		must(b.p.Failover(&uris(3)[2]))
		b.expect("c")
		time.Sleep(time.Hour)
		b.expect("c") // holds
		must(b.p.Failback())
		b.expect("a")
		must(b.p.Failover(&uris(3)[2]))
		b.downAll("c") // or until its target breaks
		b.expect("a")
		b.up("c")
		time.Sleep(time.Hour)
		b.expect("a")
	})
}

func TestManualFailoverMovesAllClients(t *testing.T) {
	inBubble(t, 4, func(c *Config) { random(c); priority(c) }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		if err := b.p.Failover(&uris(4)[3]); err != nil {
			t.Fatal(err)
		}
		for i, host := range b.round(50, nil) {
			if host != "d" {
				t.Errorf("client %d is on %s", i, host)
			}
		}
		if n := b.p.moves.count.Load(); n != 0 {
			t.Errorf("%d exceptions are stored", n)
		}
		if err := b.p.Failback(); err != nil {
			t.Fatal(err)
		}
		for i, host := range b.round(50, nil) {
			if host != "a" {
				t.Errorf("client %d is on %s", i, host)
			}
		}
	})
}

// Whoever fails back by hand does not wait for the proof.
func TestFailbackByHandDoesNotWait(t *testing.T) {
	inBubble(t, 2, func(c *Config) { priority(c); c.Options.FailbackDelay = time.Hour }, func(b *stage) {
		b.awayFromHome()
		b.up("a")
		time.Sleep(5 * time.Second)
		b.expect("b")
		if err := b.p.Failback(); err != nil {
			t.Fatal(err)
		}
		b.expect("a")
	})
}

func TestFailoverNeedsATarget(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		var unknown *UnknownError
		u := URI{Scheme: "http", Host: "z", Port: "80"}
		for name, err := range map[string]error{
			"failover": b.p.Failover(&u), "drain": b.p.Drain(u), "resume": b.p.Resume(u),
		} {
			if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "http://a:80, http://b:80") {
				t.Errorf("%s: got %v", name, err)
			}
		}
		b.p.Drain(uris(2)[1])
		if err := b.p.Failover(&uris(2)[1]); err == nil || !strings.Contains(err.Error(), "drained") {
			t.Errorf("to a drained one: %v", err)
		}
		if err := b.p.Failover(nil); err == nil {
			t.Error("to nobody: no error")
		}
		b.expect("a")
		if err := b.p.Drain(URI{Host: "a", Port: "80"}); err != nil { // by its dial address
			t.Error(err)
		}
	})
}

func TestDrainLetsGoOnWhatIsInProgress(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := b.stuck("a")
		if err := b.p.Drain(uris(2)[0]); err != nil {
			t.Fatal(err)
		}
		b.expect("b")
		time.Sleep(time.Minute)
		if got := b.released(); len(got) > 0 {
			t.Errorf("released %v", got)
		}
		b.p.End(r, Answered, nil)
		b.p.Done(r)
		pings := len(b.passes("a"))
		b.downAll("a")
		if err := b.p.Resume(uris(2)[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(b.passes("a")) != pings+1 {
			t.Error("it was not pinged at once")
		}
		if s := b.state("a"); s != "down" {
			t.Errorf("it is %s, and does not answer", s)
		}
		b.empty()
	})
}

func TestMembershipAtRunTime(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("c")
		if n, err := b.p.AddURIs(append(uris(3)[2:], uris(1)...), false); n != 1 || err != nil {
			t.Fatalf("added %d, error %v", n, err)
		}
		b.downAll("a", "b")
		if why, _ := b.reason(&Request{Deadline: time.Now().Add(3 * time.Second)}); why != ReasonTimeout {
			t.Fatalf("an address that never answered was used: %v", why)
		}
		b.up("c")
		b.expect("c") // from its first answered ping on
		if _, err := b.p.AddURIs([]URI{{Scheme: "https", Host: "d", Port: "443"}}, false); err == nil {
			t.Error("another scheme was accepted")
		}
		r := b.stuck("c")
		if n, err := b.p.RemoveURIs(uris(3)[1:]); n != 2 || err != nil {
			t.Fatalf("removed %d, error %v", n, err)
		}
		b.p.End(r, Answered, nil) // its request goes on
		b.p.Done(r)
		if n, err := b.p.RemoveURIs(uris(1)); n != 0 || !errors.Is(err, ErrLast) {
			t.Errorf("the last address: removed %d, error %v", n, err)
		}
		if n := b.told("failover_membership"); n != 3 {
			t.Errorf("%d events, want one per change", n)
		}
		b.up("a")
		b.expect("a")
		if n := len(b.p.Members()); n != 1 {
			t.Errorf("%d members", n)
		}
	})
}

func TestStatus(t *testing.T) {
	inBubble(t, 3, priority, func(b *stage) {
		if s := b.p.Status().State; s != "connecting" {
			t.Errorf("before start it is %s", s)
		}
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.downAll("a")
		b.expect("b")
		r := b.stuck("b")
		b.p.Drain(uris(3)[2])
		b.p.Members()[1].SetBackup("warm")
		s := b.p.Status()
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"name", "state", "options", "failed_passes", "next_attempt", "waiting", "upstreams"} {
			if _, ok := got[key]; !ok {
				t.Errorf("no %s in %s", key, text)
			}
		}
		a, bb, c := s.Upstreams[0], s.Upstreams[1], s.Upstreams[2]
		if s.State != "connected" || s.NextAttempt != nil || s.Options["priority_backup"] != true {
			t.Errorf("pool: %+v", s)
		}
		if a.State != "down" || !a.Priority || a.LastError != errRefused.Error() || a.NextProbe == nil {
			t.Errorf("a: %+v", a)
		}
		if bb.State != "up" || bb.Priority || bb.Requests != 1 || bb.Backup != "warm" || bb.NextProbe != nil {
			t.Errorf("b: %+v", bb)
		}
		if c.State != "drained" || c.Pushed {
			t.Errorf("c: %+v", c)
		}
		b.p.End(r, Answered, nil)
		b.p.Done(r)
		stats := b.p.Stats()
		if stats.Failovers["dial"] != 1 || stats.Upstreams[0].Up || !stats.Upstreams[1].Up ||
			stats.Upstreams[1].Attempts[Answered] != 2 || stats.Upstreams[0].Attempts[DialFailed] != 1 || stats.ReconnectAttempts != 1 {
			t.Errorf("stats: %+v", stats)
		}
	})
}

func TestSnapshotSurvives(t *testing.T) {
	var kept []byte
	want := map[int]string{}
	inBubble(t, 5, random, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.downAll("b")
		b.p.AddURIs(uris(7)[5:], false)
		synctest.Wait()
		b.p.Drain(uris(5)[3])
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
		var s Snapshot
		if err := json.Unmarshal(kept, &s); err != nil {
			t.Fatal(err)
		}
		b.downAll("b")
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
		if err := b.p.Restore(Snapshot{Moved: map[string][]byte{"http://a:80": {1, 2, 3}}}); err == nil {
			t.Error("a damaged snapshot was accepted")
		}
	})
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
		b.p.moves.dropIf(func(uint64, *Member) bool { return true })
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
		cfg.URIs = []URI{uris(4)[3], uris(1)[0], uris(2)[1]} // d, a, b; c is gone
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

func TestWarmBackups(t *testing.T) {
	backups := func(n int) func(*Config) {
		return func(c *Config) { c.Options.Backup, c.Options.BackupPoolSize = true, n }
	}
	warm := func(b *stage) []string {
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Clone(b.warm)
	}
	inBubble(t, 4, backups(2), func(b *stage) {
		b.p.Start()
		for _, step := range []struct {
			act  func()
			want []string
		}{
			{func() { b.expect("a") }, []string{"b", "c"}},
			{func() { b.p.Drain(uris(4)[1]) }, []string{"c", "d"}},
			{func() { b.downAll("a"); b.expect("c") }, []string{"d"}},
			{func() { b.p.Failover(&uris(4)[3]) }, []string{"c"}},
			{func() { b.p.Failback() }, []string{"d"}},
			{func() { b.p.RemoveURIs(uris(4)[3:]) }, nil},
			{func() { b.p.Resume(uris(4)[1]); synctest.Wait() }, nil}, // trial: it has yet to prove itself
		} {
			step.act()
			if got := warm(b); !slices.Equal(got, step.want) {
				t.Errorf("warm are %v, want %v", got, step.want)
			}
		}
		b.p.Close()
		if got := warm(b); got != nil {
			t.Errorf("after the end %v are warm", got)
		}
	})
	inBubble(t, 3, nil, func(b *stage) { // off by default
		b.p.Start()
		b.expect("a")
		if got := warm(b); got != nil {
			t.Errorf("warm are %v", got)
		}
	})
}

func TestNewRefusesNonsense(t *testing.T) {
	if _, err := New(Config{Name: "x", URIs: uris(1)}); err == nil {
		t.Error("a pool without carrier was accepted")
	}
	mixed := append(uris(1), URI{Scheme: "https", Host: "b", Port: "443"})
	if _, err := New(Config{Name: "x", URIs: mixed, Carrier: quietCarrier{}}); err == nil {
		t.Error("mixed schemes were accepted")
	}
}
