// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// restarted runs before in one pool and after in another one that starts from what
// the first has learnt, as a new process does.
func restarted(t *testing.T, n int, change func(*Config), before, after func(b *stage), changeAfter func(*Config)) {
	t.Helper()
	var kept []byte
	inBubble(t, n, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		before(b)
		var err error
		if kept, err = json.Marshal(b.p.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
	inBubble(t, n, func(c *Config) {
		if change != nil {
			change(c)
		}
		if changeAfter != nil {
			changeAfter(c)
		}
	}, func(b *stage) {
		var s report.Snapshot
		if err := json.Unmarshal(kept, &s); err != nil {
			t.Fatal(err)
		}
		if err := b.p.Restore(s); err != nil {
			t.Fatal(err)
		}
		b.p.Start()
		synctest.Wait()
		after(b)
	})
}

// Who was moved away stays where it is over a restart, too, while its own member is
// back for less than ten minutes; the ten minutes are counted over the restart.
func TestMovedClientsStayOverARestart(t *testing.T) {
	for name, test := range map[string]struct {
		kind    address.AffinityKind
		cookies map[int]string
	}{
		"client_ip": {address.AffinityClientIP, nil},
		"cookie":    {address.AffinityCookie, map[int]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			const clients = 100
			var own, away map[int]string
			change := func(c *Config) { random(c); c.Options.Affinity.Kind = test.kind }
			restarted(t, 3, change, func(b *stage) {
				own = b.round(clients, test.cookies)
				b.downAll("b")
				away = b.round(clients, test.cookies)
				b.up("b")
				time.Sleep(5 * time.Second)
				for key := range uint64(50) { // new clients prove it
					if _, err := b.send(&Request{Key: affinity.Mix(1000 + key), Safe: true}); err != nil {
						t.Fatal(err)
					}
				}
				if s := b.state("b"); s != "up" {
					t.Fatalf("b is %s", s)
				}
				time.Sleep(5 * time.Minute)
			}, func(b *stage) {
				// Both bubbles begin at the same time, so that it came back in the future:
				// that counts as just now.
				time.Sleep(9 * time.Minute)
				for i, host := range b.round(clients, test.cookies) {
					if host != away[i] {
						t.Fatalf("client %d was moved from %s to %s", i, away[i], host)
					}
				}
				time.Sleep(time.Minute + time.Second)
				for i, host := range b.round(clients, test.cookies) {
					if host != own[i] {
						t.Fatalf("client %d is on %s, its own is up for ten minutes: %s", i, host, own[i])
					}
				}
			}, nil)
		})
	}
}

func TestRestoredReturnGoesOn(t *testing.T) {
	inBubble(t, 3, random, func(b *stage) {
		if err := b.p.Restore(report.Snapshot{Reached: true, Back: []report.BackSnapshot{{Name: "http://b:80", Since: time.Now().Add(-9 * time.Minute)}}}); err != nil {
			t.Fatal(err)
		}
		b.p.Start()
		synctest.Wait()
		if n := len(b.p.Snapshot().Back); n != 1 {
			t.Fatalf("%d members are back", n)
		}
		time.Sleep(time.Minute + time.Second)
		if back := b.p.Snapshot().Back; len(back) != 0 {
			t.Errorf("after ten minutes it does not call its clients: %+v", back)
		}
	})
}

// Clients that are all as one stay over a restart, whatever is up before theirs.
func TestOrderedClientsStayOverARestart(t *testing.T) {
	lostAndBack := func(b *stage) {
		b.expect("a")
		b.downAll("a")
		b.expect("b")
		b.up("a")
		time.Sleep(5 * time.Second)
		b.set(func() { b.loses["b"] = 1 })
		b.expect("a") // one request, which proves it
		b.expect("b")
		if s := b.state("a"); s != "up" {
			b.t.Fatalf("a is %s", s)
		}
	}
	t.Run("its own came back", func(t *testing.T) {
		restarted(t, 2, nil, lostAndBack, func(b *stage) {
			b.expect("b")
			time.Sleep(20 * time.Minute)
			b.expect("b")
			b.p.Rebalance()
			b.expect("a")
		}, nil)
	})
	t.Run("another one comes first now", func(t *testing.T) {
		restarted(t, 2, nil, func(b *stage) { b.expect("a") }, func(b *stage) {
			b.expect("a")
			b.downAll("a")
			b.expect("c")
		}, func(c *Config) { c.URIs = []address.URI{uris(3)[2], uris(1)[0], uris(2)[1]} })
	})
	t.Run("each for itself", func(t *testing.T) {
		each := func(c *Config) { c.Options.Affinity = address.Affinity{Kind: address.AffinityClientIP} }
		restarted(t, 2, each, func(b *stage) {
			lost := func(want string) {
				for i, host := range b.round(20, nil) {
					if host != want {
						b.t.Fatalf("client %d is on %s, want %s", i, host, want)
					}
				}
			}
			lost("a")
			b.downAll("a")
			lost("b")
			b.up("a")
			time.Sleep(2 * time.Second)
			if _, err := b.send(&Request{Key: 7777, Safe: true}); err != nil { // a new client
				b.t.Fatal(err)
			}
			lost("b")
		}, func(b *stage) {
			for i, host := range b.round(20, nil) {
				if host != "b" {
					b.t.Fatalf("client %d was moved to %s", i, host)
				}
			}
		}, nil)
	})
	t.Run("the new one has priority", func(t *testing.T) {
		restarted(t, 2, nil, func(b *stage) { b.expect("a") }, func(b *stage) { b.expect("c") },
			func(c *Config) {
				c.URIs, c.Options.PriorityBackup = []address.URI{uris(3)[2], uris(1)[0]}, true
			})
	})
}

// Where a backend sent its clients is known after a restart, also to those that had
// not come in between.
func TestSentClientsStayOverARestart(t *testing.T) {
	var own map[int]string
	restarted(t, 3, random, func(b *stage) {
		own = b.round(50, nil)
		if err := b.p.Reconnect(b.p.Members()[0], uris(3)[2]); err != nil {
			t.Fatal(err)
		}
	}, func(b *stage) {
		for i, host := range b.round(50, nil) {
			if want := map[string]string{"a": "c", "b": "b", "c": "c"}[own[i]]; host != want {
				t.Errorf("client %d of %s is on %s, want %s", i, own[i], host, want)
			}
		}
	}, nil)
}
