// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

func priority(c *Config) { c.Options.PriorityBackup = true }

// traffic sends a safe request every 50 ms for that long, and returns how many
// each member answered. No request may fail.
func (b *stage) traffic(d time.Duration) map[string]int {
	b.t.Helper()
	got := map[string]int{}
	for end := time.Now().Add(d); time.Now().Before(end); {
		m, err := b.send(&Request{Safe: true})
		if err != nil {
			b.t.Fatal(err)
		}
		got[m.URI.Host]++
		time.Sleep(50 * time.Millisecond)
	}
	return got
}

// awayFromHome takes a down and moves the clients to b.
func (b *stage) awayFromHome() {
	b.t.Helper()
	b.p.Start()
	synctest.Wait()
	b.expect("a")
	b.downAll("a")
	b.expect("b")
}

func TestFailback(t *testing.T) {
	inBubble(t, 3, priority, func(b *stage) {
		b.awayFromHome()
		b.traffic(90 * time.Second)
		b.up("a")
		back := time.Now()
		if got := b.traffic(900 * time.Millisecond); got["a"] > 0 {
			t.Errorf("home got %d requests before failback_delay was over", got["a"])
		}
		for b.state("a") != "up" && time.Since(back) < time.Minute {
			b.traffic(50 * time.Millisecond)
		}
		// failback_delay is 1 s, a probe takes place at least every second.
		if took := time.Since(back); took > 2500*time.Millisecond {
			t.Errorf("home after %v", took)
		}
		if got := b.traffic(time.Second); got["b"] > 0 {
			t.Errorf("%v after failback", got)
		}
		if b.told("failover_failback") != 1 || b.told("failover_resumed") != 1 || b.told("failover_interrupted") != 1 {
			t.Error("not one event per change")
		}
	})
}

func TestHomeThatAnswers503IsNotHome(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.set(func() { b.status["a"] = 503 })
		b.up("a")
		if got := b.traffic(20 * time.Second); got["a"] > 0 {
			t.Errorf("home got %d requests while it answered 503", got["a"])
		}
		if s := b.state("a"); s != "trial" {
			t.Errorf("home is %s", s)
		}
		b.set(func() { b.status["a"] = 0 })
		b.traffic(2500 * time.Millisecond)
		b.expect("a")
	})
}

// The pings may be answered by something else than what serves the requests.
func TestTheFirstRequestAtHomeIsATrial(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.up("a")
		for !b.ready("a") {
			b.traffic(50 * time.Millisecond) // until it looks for a request
		}
		// Unsafe requests do not try it, and only one safe one at a time does.
		for range 3 {
			if m, err := b.send(&Request{}); err != nil || m.URI.Host != "b" {
				t.Fatalf("an unsafe request went to %v, error %v", m.Name, err)
			}
		}
		trial := &Request{Safe: true}
		if m, err := b.ask(b.t.Context(), trial); err != nil || m.URI.Host != "a" {
			t.Fatalf("the trial went to %v, error %v", m.Name, err)
		}
		b.expect("b")
		trial.at.Connected()
		trial.at.Status = 502
		trial.at.End(report.Answered, nil)
		trial.at.Done()
		b.expect("b") // not home
		if s := b.state("a"); s != "trial" {
			t.Errorf("after a trial that was answered with 502 it is %s", s)
		}
		// It may have been that request alone: a second later another one may try.
		time.Sleep(tracker.TrialTime)
		b.expect("a")
		b.expect("a")
		b.empty()
	})
}

// ready reports whether a priority member looks for its trial.
func (b *stage) ready(host string) (ready bool) {
	b.p.do(func(x *machine) error {
		for _, m := range x.members {
			if m.URI.Host == host {
				ready = m.failback.Ready && m.state == stateTrial
			}
		}
		return nil
	})
	return ready
}

func TestHomeThatOnlyGetsUnsafeRequestsComesBackToo(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.up("a")
		for i := 0; b.state("a") != "up"; i++ {
			if i > 200 {
				t.Fatal("home never came back")
			}
			if _, err := b.send(&Request{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func TestFlappingHomeHasToStayLonger(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		var took []time.Duration
		for range 5 {
			b.up("a")
			start := time.Now()
			for b.state("a") != "up" {
				b.traffic(50 * time.Millisecond)
			}
			took = append(took, time.Since(start))
			b.traffic(5 * time.Second)
			b.downAll("a")
			b.traffic(5 * time.Second)
		}
		for i, d := range took {
			if want := time.Second << i; d < want || d > want+2*time.Second {
				t.Errorf("failback %d took %v, want %v and what the probes take", i+1, d, want)
			}
		}
		// A minute without loss gives the good name back.
		b.up("a")
		b.traffic(3 * time.Minute)
		b.downAll("a")
		b.traffic(5 * time.Second)
		b.up("a")
		b.traffic(2500 * time.Millisecond)
		b.expect("a")
	})
}

func TestTheDelayOfAFlappingHomeIsBounded(t *testing.T) {
	o, now := address.DefaultOptions(), time.Now()
	var f tracker.Failback
	for range 20 {
		f.Done(now)
		f.Lost(now, o.FailbackDelay, o.MaxReconnectDelay)
	}
	if d := f.Need(o.FailbackDelay); d != o.MaxReconnectDelay {
		t.Errorf("delay is %v, want max_reconnect_delay", d)
	}
}

func TestClientsMoveToTheBestPriorityMember(t *testing.T) {
	change := func(c *Config) {
		priority(c)
		c.Options.PriorityURIs = []address.URI{uris(3)[2], uris(3)[1]} // c, then b, then a
	}
	inBubble(t, 3, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("c")
		b.downAll("c", "b")
		b.expect("a")
		b.up("b")
		b.traffic(4 * time.Second)
		b.expect("b")
		b.up("c")
		b.traffic(4 * time.Second)
		b.expect("c")
	})
}

func TestUnlistedPriorityAddressJoinsTheList(t *testing.T) {
	change := func(c *Config) {
		priority(c)
		c.Options.PriorityURIs = uris(3)[2:]
	}
	inBubble(t, 2, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("c")
		b.downAll("c")
		b.expect("a")
	})
}

// With nothing else left, home serves at once.
func TestHomeServesAtOnceWhenItIsTheOnlyOne(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.traffic(5 * time.Second)
		b.downAll("b")
		done := make(chan struct{})
		go func() { b.expect("a"); close(done) }()
		time.Sleep(3 * time.Second)
		b.up("a")
		start := time.Now()
		<-done
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("served after %v", took)
		}
	})
}

// A suspect backup is better than a home that has not proved itself.
func TestALossOnTheBackupDoesNotMakeHomeReady(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.awayFromHome()
		b.set(func() { b.status["a"] = 503 })
		b.up("a")
		b.traffic(5 * time.Second)
		b.set(func() { b.hangs["b"] = true }) // no ping clears it
		r := &Request{Safe: true}
		m, _ := b.ask(b.t.Context(), r)
		r.at.Connected()
		r.at.Written()
		r.at.End(report.Lost, errReset)
		if m.URI.Host != "b" || b.state("b") != "suspect" {
			t.Fatalf("%s lost a request and is %s", m.Name, b.state("b"))
		}
		if got := b.traffic(time.Second); got["a"] > 0 {
			t.Errorf("home got %d requests", got["a"])
		}
	})
}

// Clients with keys of their own move back as well, whatever they were moved to.
func TestFailbackOfSingleClients(t *testing.T) {
	for name, kind := range map[string]address.Affinity{"client_ip": {Kind: address.AffinityClientIP}, "cookie": {Kind: address.AffinityCookie, Name: "x"}} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) {
				priority(c)
				c.Options.Randomize = true
				c.Options.Affinity = kind
			}
			inBubble(t, 4, change, func(b *stage) {
				b.p.Start()
				synctest.Wait()
				cookies := map[uint64]string{}
				round := func(count func(key uint64, host string)) {
					for key := range uint64(60) {
						r := &Request{Key: affinity.KeyOf(string(rune(key))), Keyed: true, Safe: true, Home: cookies[key]}
						m, err := b.send(r)
						if err != nil {
							t.Fatal(err)
						}
						cookies[key] = r.at.MovedTo()
						count(key, m.URI.Host)
					}
				}
				round(func(_ uint64, host string) {
					if host != "a" {
						t.Errorf("a client begins on %s", host)
					}
				})
				b.downAll("a")
				moved := map[uint64]string{}
				round(func(key uint64, host string) { moved[key] = host })
				round(func(key uint64, host string) {
					if host != moved[key] || host == "a" {
						t.Errorf("client %d went from %s to %s", key, moved[key], host)
					}
				})
				b.up("a")
				time.Sleep(3 * time.Second)
				round(func(uint64, string) {}) // the first one is the trial
				round(func(_ uint64, host string) {
					if host != "a" {
						t.Errorf("a client stayed on %s", host)
					}
				})
				for key, c := range cookies {
					if c != "" {
						t.Errorf("the cookie of client %d still says %s", key, c)
					}
				}
			})
		})
	}
}
