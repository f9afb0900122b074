// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// homeReady is a pool whose priority member has answered its pings and looks for a
// request to prove itself with.
func homeReady(t *testing.T, f func(b *stage)) {
	t.Helper()
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.up("a")
		for !b.ready("a") {
			b.traffic(50 * time.Millisecond)
			b.set(func() { b.down["b"] = false })
			if b.state("a") == "up" {
				b.downAll("a")
				b.expect("b")
				b.up("a")
			}
		}
		f(b)
		b.empty()
	})
}

// stuckOn sends a request that is never answered while the test runs.
func (b *stage) stuckOn(r *Request, want string) {
	b.t.Helper()
	if got := b.pick(r); got != want {
		b.t.Fatalf("got %s, want %s", got, want)
	}
	r.at.Connected()
	r.at.Written()
}

// A trial that its client drags out keeps nobody from the next one.
func TestATrialHasASecond(t *testing.T) {
	homeReady(t, func(b *stage) {
		slow := &Request{Safe: true, Client: 1}
		b.stuckOn(slow, "a")
		b.expect("b")
		time.Sleep(tracker.TrialTime - 100*time.Millisecond)
		b.expect("b")
		time.Sleep(100 * time.Millisecond)
		// Its own client is not the next one.
		if m, err := b.send(&Request{Safe: true, Client: 1}); err != nil || m.URI.Host != "b" {
			t.Errorf("got %v, error %v", m, err)
		}
		if m, err := b.send(&Request{Safe: true, Client: 2}); err != nil || m.URI.Host != "a" {
			t.Errorf("got %v, error %v", m, err)
		}
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		slow.at.End(report.Neutral, nil)
	})
}

// Where there is one client only its next request may try, after a while; and the late
// answer of a trial counts like one that came at once.
func TestATrialOfTheOnlyClient(t *testing.T) {
	homeReady(t, func(b *stage) {
		slow := &Request{Safe: true, Client: 1}
		b.stuckOn(slow, "a")
		time.Sleep(tracker.TrialPause - 100*time.Millisecond)
		if m, err := b.send(&Request{Safe: true, Client: 1}); err != nil || m.URI.Host != "b" {
			t.Errorf("got %v, error %v", m, err)
		}
		time.Sleep(100 * time.Millisecond)
		again := &Request{Safe: true, Client: 1}
		b.stuckOn(again, "a")
		slow.at.Status = 200
		slow.at.End(report.Answered, nil)
		slow.at.Done()
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		again.at.End(report.Neutral, nil)
	})
}

func TestNoTrialWithAnUnreadBody(t *testing.T) {
	homeReady(t, func(b *stage) {
		if m, err := b.send(&Request{Safe: true, Unread: true}); err != nil || m.URI.Host != "b" {
			t.Errorf("got %v, error %v", m, err)
		}
		b.expect("a")
	})
}

// A lost trial is repeated by a ping, and the next client is not asked at once.
func TestALostTrial(t *testing.T) {
	for name, dead := range map[string]bool{"answers the ping": false, "is dead": true} {
		t.Run(name, func(t *testing.T) {
			homeReady(t, func(b *stage) {
				if dead {
					b.downAll("a")
				}
				pings := len(b.passes("a"))
				r := &Request{Safe: true, Client: 1}
				b.pick(r)
				b.lost(r)
				synctest.Wait()
				if n := len(b.passes("a")); n != pings+1 {
					t.Errorf("%d pings", n-pings)
				}
				want := "trial"
				if dead {
					want = "down"
				}
				if s := b.state("a"); s != want {
					t.Errorf("it is %s, want %s", s, want)
				}
				if m, err := b.send(&Request{Safe: true, Client: 2}); err != nil || m.URI.Host != "b" {
					t.Errorf("got %v, error %v", m, err)
				}
				if dead {
					return
				}
				time.Sleep(tracker.TrialTime)
				if m, err := b.send(&Request{Safe: true, Client: 2}); err != nil || m.URI.Host != "a" {
					t.Errorf("got %v, error %v", m, err)
				}
			})
		})
	}
}

// One client's requests that a server at work answers with 503 do not keep it away.
func TestUnfitAnswersToOneClient(t *testing.T) {
	homeReady(t, func(b *stage) {
		start := time.Now()
		for b.state("a") != "up" {
			evil := &Request{Safe: true, Client: 1}
			if b.pick(evil) == "a" {
				evil.at.Connected()
				evil.at.Written()
				evil.at.Status = 503
				evil.at.End(report.Answered, nil)
				evil.at.Done()
			} else {
				evil.at.End(report.Neutral, nil)
			}
			if _, err := b.send(&Request{Safe: true, Client: 2}); err != nil {
				t.Fatal(err)
			}
			if time.Sleep(10 * time.Millisecond); time.Since(start) > 10*time.Second {
				t.Fatalf("it is %s", b.state("a"))
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("home after %v", took)
		}
	})
}
