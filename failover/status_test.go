// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

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
		r.at.End(report.Answered, nil)
		r.at.Done()
		stats := b.p.Stats()
		if stats.Upstreams[0].Up || !stats.Upstreams[1].Up ||
			stats.Upstreams[1].Attempts[report.Answered] != 2 || stats.Upstreams[0].Attempts[report.DialFailed] != 1 || stats.ReconnectAttempts != 1 {
			t.Errorf("stats: %+v", stats)
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
			{func() { b.p.Resume(uris(4)[1]); synctest.Wait() }, []string{"b"}}, // its ping is enough
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
	mixed := append(uris(1), address.URI{Scheme: "https", Host: "b", Port: "443"})
	if _, err := New(Config{Name: "x", URIs: mixed, Carrier: quietCarrier{}}); err == nil {
		t.Error("mixed schemes were accepted")
	}
}

// A pool without addresses waits for some.
func TestEmptyPool(t *testing.T) {
	inBubble(t, 0, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		if err := b.p.Failover(nil); err == nil {
			t.Error("failover to nobody: no error")
		}
		time.AfterFunc(2*time.Second, func() { b.p.AddURIs(uris(1), false) })
		b.expect("a")
		if s := b.p.Status(); time.Since(b.start) < 2*time.Second || s.State != "connected" {
			t.Errorf("%s after %v", s.State, time.Since(b.start))
		}
	})
	inBubble(t, 0, func(c *Config) { c.Options.MaxReconnectAttempts = 3 }, func(b *stage) {
		b.p.Start()
		if why, took := b.reason(&Request{}); why != report.ReasonExhausted || took != 60*time.Millisecond {
			t.Errorf("%q after %v: passes over nothing fail as well", why, took)
		}
	})
}
