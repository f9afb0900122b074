// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

func random(c *Config) { c.Options.Randomize = true }

// round sends one request of every client and returns where they went.
func (b *stage) round(clients int, cookies map[int]string) map[int]string {
	b.t.Helper()
	got := map[int]string{}
	for i := range clients {
		r := &Request{Key: affinity.KeyOf(strconv.Itoa(i)), Keyed: true, Safe: true, Home: cookies[i]}
		m, err := b.send(r)
		if err != nil {
			b.t.Fatal(err)
		}
		got[i] = m.URI.Host
		if cookies != nil {
			cookies[i] = r.at.MovedTo()
		}
	}
	return got
}

// A client that failed over stays where it is until its own member has been
// back for ten minutes, whoever remembers that.
func TestMovedClientsStay(t *testing.T) {
	for _, test := range []struct {
		name    string
		kind    address.AffinityKind
		cookies map[int]string
	}{{"client_ip", address.AffinityClientIP, nil}, {"header", address.AffinityHeader, nil}, {"cookie", address.AffinityCookie, map[int]string{}}} {
		t.Run(test.name, func(t *testing.T) {
			change := func(c *Config) { random(c); c.Options.Affinity.Kind = test.kind }
			inBubble(t, 5, change, func(b *stage) {
				const clients = 300
				b.p.Start()
				synctest.Wait()
				before := b.round(clients, test.cookies)
				b.downAll("c")
				away := b.round(clients, test.cookies)
				moved := 0
				for i := range before {
					switch {
					case before[i] == "c" && away[i] == "c", before[i] != "c" && away[i] != before[i]:
						t.Fatalf("client %d went from %s to %s", i, before[i], away[i])
					case before[i] == "c":
						moved++
					}
				}
				if n := b.p.moves.Len(); test.cookies == nil && n != int64(moved) || test.cookies != nil && n != 0 {
					t.Errorf("%d exceptions are stored for %d moved clients", n, moved)
				}
				b.up("c")
				for range 9 {
					time.Sleep(time.Minute)
					for i, host := range b.round(clients, test.cookies) {
						if host != away[i] {
							t.Fatalf("client %d left %s for %s after %v", i, away[i], host, time.Since(b.start))
						}
					}
				}
				time.Sleep(2 * time.Minute)
				b.round(clients, test.cookies) // the first one proves that c works
				for i, host := range b.round(clients, test.cookies) {
					if host != before[i] {
						t.Errorf("client %d is on %s, not back on %s", i, host, before[i])
					}
				}
				if n := b.p.moves.Len(); n != 0 {
					t.Errorf("%d exceptions are kept", n)
				}
			})
		})
	}
}

func TestRebalanceEndsExceptionsAtOnce(t *testing.T) {
	inBubble(t, 5, random, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		before := b.round(200, nil)
		b.downAll("c")
		b.round(200, nil)
		b.up("c")
		time.Sleep(2 * time.Second)
		b.p.Rebalance()
		b.round(200, nil)
		for i, host := range b.round(200, nil) {
			if host != before[i] {
				t.Errorf("client %d is on %s, not back on %s", i, host, before[i])
			}
		}
	})
}

func TestAForgedHomeCountsAsNone(t *testing.T) {
	change := func(c *Config) { random(c); c.Options.Affinity.Kind = address.AffinityCookie }
	inBubble(t, 5, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		before := b.round(50, nil)
		cookies := map[int]string{}
		for i := range 50 {
			cookies[i] = "http://evil:80"
		}
		for i, host := range b.round(50, cookies) {
			if host != before[i] || cookies[i] != "" {
				t.Errorf("client %d: %s, cookie %s", i, host, cookies[i])
			}
		}
	})
}

func TestClientsThatAreOneStayTogether(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("a")
		b.expect("b")
		b.up("a")
		time.Sleep(time.Hour)
		b.expect("b")
		b.p.Rebalance()
		b.expect("a") // the trial
		b.expect("a")
	})
	change := func(c *Config) { random(c); c.Options.Affinity.Kind = address.AffinityPool }
	inBubble(t, 5, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		first := ""
		for range 2 {
			for i, host := range b.round(50, nil) {
				if first == "" {
					first = host
				}
				if host != first {
					t.Fatalf("client %d is on %s, others on %s", i, host, first)
				}
			}
			b.downAll(first)
			first = ""
		}
	})
}

func TestEveryRequestItsOwnClient(t *testing.T) {
	change := func(c *Config) { random(c); c.Options.Affinity.Kind = address.AffinityRequest }
	inBubble(t, 4, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		count := func() map[string]int {
			got := map[string]int{}
			for i := range 4000 {
				m, err := b.send(&Request{Key: uint64(i), Safe: true})
				if err != nil {
					t.Fatal(err)
				}
				got[m.URI.Host]++
			}
			return got
		}
		if got := count(); chiSquared(got, 4, 4000) > 16.27 { // one in a thousand
			t.Errorf("spread is %v", got)
		}
		b.downAll("b")
		if got := count(); got["b"] > 0 || chiSquared(got, 3, 4000) > 13.82 {
			t.Errorf("spread over three is %v", got)
		}
		if n := b.p.moves.Len(); n != 0 {
			t.Errorf("%d exceptions are stored", n)
		}
	})
}

// Losing one of n members moves only its clients; a new one takes only its share.
func TestANewMemberTakesItsShare(t *testing.T) {
	inBubble(t, 4, random, func(b *stage) {
		const clients = 1000
		b.p.Start()
		synctest.Wait()
		before := b.round(clients, nil)
		if n, err := b.p.AddURIs(uris(5)[4:], true); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait() // its first answered ping
		taken := 0
		for i, host := range b.round(clients, nil) {
			if host == "e" {
				taken++
			} else if host != before[i] {
				t.Errorf("client %d went from %s to %s", i, before[i], host)
			}
		}
		if taken < 150 || taken > 250 {
			t.Errorf("the newcomer took %d of %d clients", taken, clients)
		}
	})
}
