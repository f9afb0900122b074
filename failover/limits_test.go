// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

func TestAttemptLimits(t *testing.T) {
	const forever = 2 * time.Minute
	for _, test := range []struct {
		name         string
		max, startup int // startup -2: not given
		reached      bool
		why          report.Reason
		after        time.Duration
	}{
		// With passes at 10, 30, 70 ms after a loss, and at 0, 20, 60 ms at start-up.
		{"no limit", -1, -2, true, report.ReasonTimeout, forever},
		{"three passes", 3, -2, true, report.ReasonExhausted, 70 * time.Millisecond},
		{"one pass", 1, -2, true, report.ReasonExhausted, 10 * time.Millisecond},
		{"no failover", 0, -2, true, report.ReasonExhausted, 0},
		{"start-up like later: three", 3, -2, false, report.ReasonExhausted, 60 * time.Millisecond},
		{"start-up like later: none is one pass", 0, -2, false, report.ReasonExhausted, 0},
		{"start-up limit of its own", -1, 2, false, report.ReasonExhausted, 20 * time.Millisecond},
		{"start-up limit 0 is one pass", -1, 0, false, report.ReasonExhausted, 0},
		{"start-up limit 1 is one pass", -1, 1, false, report.ReasonExhausted, 0},
		{"start-up without limit, later one", 1, -1, false, report.ReasonTimeout, forever},
		{"the start-up limit ends with the first backend", -1, 1, true, report.ReasonTimeout, forever},
		{"start-up without any limit", -1, -2, false, report.ReasonTimeout, firstWait},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := func(c *Config) {
				c.Options.MaxReconnectAttempts, c.Options.StartupMaxReconnectAttempts = test.max, test.max
				if test.startup > -2 {
					c.Options.StartupMaxReconnectAttempts, c.Options.StartupMaxReconnectAttemptsSet = test.startup, true
				}
			}
			inBubble(t, 2, change, func(b *stage) {
				if !test.reached {
					b.downAll("a", "b")
					b.set(func() { b.slow = time.Millisecond }) // the request comes during the first pass
					b.p.Start()
				} else {
					b.p.Start()
					b.expect("a")
					b.lose("a", "b")
				}
				r := &Request{Deadline: time.Now().Add(forever)}
				if !test.reached {
					// Its own dials fail before the pings do.
					b.p.do(func(x *machine) error {
						for _, m := range x.members {
							x.fail(m, "dial", report.Note(errRefused))
						}
						return nil
					})
				}
				why, took := b.reason(r)
				if slack := 20 * time.Millisecond; why != test.why || took < test.after || took > test.after+slack {
					t.Errorf("got %q after %v, want %q after %v", why, took, test.why, test.after)
				}
				if got, want := b.p.Status().State == "exhausted", test.why == report.ReasonExhausted; got != want {
					t.Errorf("state is %s", b.p.Status().State)
				}
				if got, want := b.told("failover_exhausted"), test.why == report.ReasonExhausted && test.max != 0; (got == 1) != want {
					t.Errorf("%d events tell of it", got)
				}
			})
		})
	}
}

func TestNoFailoverWithLimitZero(t *testing.T) {
	inBubble(t, 3, func(c *Config) { c.Options.MaxReconnectAttempts = 0 }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		b.downAll("a")
		if why, took := b.reason(&Request{}); why != report.ReasonNoFailover || took > 0 {
			t.Errorf("got %q after %v", why, took)
		}
		synctest.Wait()
		b.expect("b") // the next request takes the first eligible one
		if got, want := b.code("failover_interrupted"), "FAILOVER"; got != want {
			t.Errorf("code is %s, want %s: another backend took over", got, want)
		}
	})
}

func TestLossOfTheLastWithLimitZeroIsADisconnect(t *testing.T) {
	inBubble(t, 1, func(c *Config) { c.Options.MaxReconnectAttempts = 0 }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		b.lose("a")
		if got := b.code("failover_interrupted"); got != "DISCONNECT" {
			t.Errorf("code is %s", got)
		}
	})
}

// An exhausted pool fails fast, heals by itself, and lets a request look when
// the last look was long ago.
func TestExhaustedPoolHeals(t *testing.T) {
	change := func(c *Config) {
		c.Options.MaxReconnectAttempts = 2
		c.Options.MaxReconnectDelaySet = true // long waits although requests come
		c.Options.InitialReconnectDelay, c.Options.ReconnectDelayExponent = 10*time.Millisecond, 1000
	}
	t.Run("by a request", func(t *testing.T) {
		inBubble(t, 1, change, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.lose("a")
			time.Sleep(11 * time.Second) // passes at 0.01 and 10.01 s
			if s := b.p.Status().State; s != "exhausted" {
				t.Fatalf("state is %s", s)
			}
			b.up("a")
			if why, took := b.reason(&Request{}); why != report.ReasonExhausted || took != 0 {
				t.Errorf("a second after the last pass: %q after %v", why, took)
			}
			time.Sleep(time.Second)
			b.expect("a")
			if s := b.p.Status().State; s != "connected" {
				t.Errorf("state is %s", s)
			}
		})
	})
	t.Run("that waits a second at most", func(t *testing.T) {
		inBubble(t, 1, change, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.lose("a")
			time.Sleep(15 * time.Second)
			b.set(func() { b.down["a"], b.hangs["a"] = false, true })
			if why, took := b.reason(&Request{}); why != report.ReasonExhausted || took != time.Second {
				t.Errorf("%q after %v", why, took)
			}
		})
	})
	t.Run("by the worker", func(t *testing.T) {
		inBubble(t, 1, change, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.lose("a")
			time.Sleep(15 * time.Second)
			b.up("a")
			time.Sleep(30 * time.Second)
			if s := b.p.Status().State; s != "connected" {
				t.Errorf("state is %s", s)
			}
		})
	})
}

func TestNoFailoverAtStartUp(t *testing.T) {
	change := func(c *Config) { c.Options.MaxReconnectAttempts, c.Options.StartupMaxReconnectAttempts = 0, 0 }
	inBubble(t, 2, change, func(b *stage) {
		b.downAll("a")
		if why, took := b.reason(&Request{}); why != report.ReasonNoFailover || took > 0 {
			t.Errorf("got %q after %v", why, took)
		}
	})
	start := func(c *Config) {
		change(c)
		c.Options.StartupMaxReconnectAttempts, c.Options.StartupMaxReconnectAttemptsSet = 1, true
	}
	inBubble(t, 2, start, func(b *stage) { // a start-up limit of one pass: over all
		b.downAll("a")
		b.expect("b")
	})
}

// A reload that takes the limit away, or raises it, is in effect at once, also for a
// pool that had used its attempts up.
func TestReloadEndsExhaustion(t *testing.T) {
	for _, limit := range []int{-1, 100} {
		inBubble(t, 1, func(c *Config) { c.Options.MaxReconnectAttempts = 2 }, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.downAll("a")
			if why, _ := b.reason(&Request{Safe: true}); why != report.ReasonExhausted {
				t.Fatalf("%q", why)
			}
			time.Sleep(5 * time.Second)
			cfg := b.p.cfg
			cfg.Options.MaxReconnectAttempts = limit
			if err := b.p.Rebind(cfg); err != nil {
				t.Fatal(err)
			}
			if s := b.p.Status().State; s != "reconnecting" {
				t.Errorf("limit %d: the pool is %s", limit, s)
			}
			time.AfterFunc(3*time.Second, func() { b.up("a") })
			b.expect("a")
		})
	}
}

// One that brings a limit does so from the next failed pass on.
func TestReloadBringsALimit(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("a")
		waits := b.waiting(b.t.Context(), &Request{Safe: true})
		b.p.do(func(x *machine) error { x.fail(x.members[0], "dial", report.Told("refused")); return nil })
		time.Sleep(5 * time.Second)
		cfg := b.p.cfg
		cfg.Options.MaxReconnectAttempts = 2
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := b.p.Status().State; s != "exhausted" {
			t.Errorf("the pool is %s", s)
		}
		<-waits
	})
}
