// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

func inactivity(d time.Duration) func(*Config) {
	return func(c *Config) { c.Options.Nested.MaxInactivityDuration = &d }
}

// stuck starts a request that gets its connection and then no answer.
func (b *stage) stuck(want string) *Request {
	b.t.Helper()
	r := &Request{Safe: true}
	m, err := b.ask(b.t.Context(), r)
	if err != nil || m.URI.Host != want {
		b.t.Fatalf("got %v, error %v, want %s", m, err, want)
	}
	r.at.Connected()
	r.at.Written()
	return r
}

// released is which members' calls were released.
func (b *stage) released() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.freed)
}

func TestHangVerdict(t *testing.T) {
	for _, test := range []struct {
		d      time.Duration
		pings  []time.Duration // to the hung member, counted from the request
		before time.Duration   // no verdict yet
		after  time.Duration
	}{
		{30 * time.Second, times(10_000, 20_000, 30_000), 30 * time.Second, 31500 * time.Millisecond},
		// At most one ping a second: the second one stands for two points.
		{time.Second, times(333, 1333), 1500 * time.Millisecond, 1900 * time.Millisecond},
	} {
		t.Run(test.d.String(), func(t *testing.T) {
			inBubble(t, 3, inactivity(test.d), func(b *stage) {
				b.p.Start()
				b.expect("a")
				time.Sleep(time.Minute)
				b.set(func() { b.hangs["a"], b.pings, b.start = true, nil, time.Now() })
				r := b.stuck("a")
				time.Sleep(test.before)
				if got := b.released(); len(got) > 0 || b.state("a") != "up" {
					t.Fatalf("released %v, a is %s after %v", got, b.state("a"), test.before)
				}
				time.Sleep(test.after - test.before)
				if got := b.released(); !slices.Equal(got, []string{"a"}) || b.state("a") != "down" {
					t.Fatalf("released %v, a is %s after %v", got, b.state("a"), test.after)
				}
				pings := b.passes("a")
				for i, want := range test.pings {
					if slack := 250 * time.Millisecond; i >= len(pings) || pings[i] < want || pings[i] > want+slack {
						t.Errorf("pings at %v, want about %v", pings, test.pings)
						break
					}
				}
				if len(b.passes("b")) == 0 {
					t.Error("the next candidate was not pinged with it")
				}
				if n := b.told("failover_interrupted"); n != 1 {
					t.Errorf("%d events", n)
				}
				r.at.End(report.Hung, errors.New("hung"))
				if m, err := b.send(r); err != nil || m.URI.Host != "b" {
					t.Errorf("the released request went to %v, error %v", m, err)
				}
				b.empty()
			})
		})
	}
}

func TestNoHangVerdict(t *testing.T) {
	for _, test := range []struct {
		name  string
		n     int
		begin func(b *stage)
		each  func(b *stage, m *Member, i int) // every 100 ms
	}{
		{"over a slow one that answers pings", 2, func(b *stage) {}, nil},
		{"over the last one", 1, func(b *stage) { b.hangs["a"] = true }, nil},
		{"while no other one answers", 2, func(b *stage) { b.hangs["a"], b.hangs["b"] = true, true }, nil},
		{"while bytes come", 2, func(b *stage) { b.hangs["a"] = true }, func(_ *stage, m *Member, i int) {
			if i%9 == 0 {
				m.Touch()
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, test.n, inactivity(time.Second), func(b *stage) {
				b.p.Start()
				b.expect("a")
				time.Sleep(time.Minute)
				b.set(func() { test.begin(b) })
				r := b.stuck("a")
				for i := range 100 {
					time.Sleep(100 * time.Millisecond)
					if test.each != nil {
						test.each(b, r.at.m, i)
					}
				}
				if got := b.released(); len(got) > 0 || b.state("a") != "up" {
					t.Errorf("released %v, a is %s", got, b.state("a"))
				}
				if got, most := len(b.passes("a")), 12; got > most {
					t.Errorf("%d pings in ten seconds", got)
				}
				r.at.End(report.Answered, nil)
				r.at.Done()
			})
		})
	}
}

func TestWithheldVerdictIsGivenWhenAnotherAnswers(t *testing.T) {
	inBubble(t, 2, inactivity(time.Second), func(b *stage) {
		b.p.Start()
		b.expect("a")
		time.Sleep(time.Minute)
		b.set(func() { b.hangs["a"], b.hangs["b"] = true, true })
		r := b.stuck("a")
		time.Sleep(10 * time.Second)
		b.set(func() { b.hangs["b"] = false })
		time.Sleep(2500 * time.Millisecond)
		if got := b.released(); len(got) == 0 || got[0] != "a" {
			t.Errorf("released %v", got)
		}
		r.at.End(report.Hung, nil)
	})
}

func TestUploadsAndTheHangVerdict(t *testing.T) {
	t.Run("an upload that goes on is progress", func(t *testing.T) {
		inBubble(t, 2, inactivity(time.Second), func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.set(func() { b.hangs["a"] = true }) // busy reading, answers nothing else
			r := b.stuck("a")
			var u Upload
			u.Begin(r.at.m.Flow())
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				u.Wrote()
			}
			if got := b.released(); len(got) > 0 {
				t.Errorf("released %v", got)
			}
			u.End()
			u.End()
			time.Sleep(2 * time.Second) // now it does not answer the whole request
			if got := b.released(); len(got) != 1 {
				t.Errorf("released %v", got)
			}
			r.at.End(report.Hung, nil)
			b.empty()
		})
	})
	t.Run("one that is blocked is not", func(t *testing.T) {
		inBubble(t, 2, inactivity(time.Second), func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.set(func() { b.hangs["a"] = true })
			r := b.stuck("a")
			var u Upload
			u.Begin(r.at.m.Flow())
			u.Wrote()
			time.Sleep(2 * time.Second)
			if got := b.released(); len(got) != 1 {
				t.Errorf("released %v", got)
			}
			u.End()
			r.at.End(report.Hung, nil)
		})
	})
	t.Run("one does not excuse another request", func(t *testing.T) {
		inBubble(t, 2, inactivity(time.Second), func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.set(func() { b.hangs["a"] = true })
			r, r2 := b.stuck("a"), b.stuck("a")
			var u Upload
			u.Begin(r.at.m.Flow())
			for range 20 {
				time.Sleep(100 * time.Millisecond)
				u.Wrote() // the kernel takes it
			}
			if got := b.released(); len(got) != 1 {
				t.Errorf("released %v", got)
			}
			u.End()
			r.at.End(report.Hung, nil)
			r2.at.End(report.Hung, nil)
		})
	})
}

func TestARequestIsMovedByAHangOnce(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := b.stuck("a")
		for _, host := range []string{"a", "b"} {
			b.p.do(func(x *machine) error {
				for _, m := range x.members {
					if m.URI.Host == host {
						x.hang(m, time.Second)
					}
				}
				return nil
			})
			r.at.End(report.Hung, nil)
			if host == "a" {
				if m, err := b.ask(b.t.Context(), r); err != nil || m.URI.Host != "b" {
					t.Fatal(m, err)
				}
			}
		}
		if why, took := b.reason(r); why != report.ReasonSpent || took > 0 {
			t.Errorf("%q after %v", why, took)
		}
	})
}

// A member that went down because it takes no connection any more, without a word,
// may hold its requests for ever.
func TestRequestsOnADownMemberAreReleased(t *testing.T) {
	inBubble(t, 2, inactivity(time.Second), func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := b.stuck("a")
		b.downAll("a")
		b.expect("b")
		if b.state("a") != "down" {
			t.Fatal("a is not down")
		}
		b.set(func() { b.down["a"], b.hangs["a"], b.mute["a"] = false, true, true })
		time.Sleep(3 * time.Second)
		if got := b.released(); len(got) == 0 || got[0] != "a" {
			t.Errorf("released %v", got)
		}
		if n := b.told("failover_interrupted"); n != 1 {
			t.Errorf("%d events, want one", n)
		}
		r.at.End(report.Hung, nil)
	})
}

func TestInactivityOff(t *testing.T) {
	inBubble(t, 2, inactivity(0), func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.set(func() { b.hangs["a"], b.pings = true, nil })
		r := b.stuck("a")
		time.Sleep(2 * time.Minute)
		if got := b.released(); len(got) > 0 || len(b.passes("a")) > 0 {
			t.Errorf("released %v, %d pings", got, len(b.passes("a")))
		}
		r.at.End(report.Neutral, nil)
	})
}

// TestRefusedPingsAreNoHang: a backend that stops in order takes no connection any
// more and finishes what it has, however long that is silent, drained or not.
func TestRefusedPingsAreNoHang(t *testing.T) {
	for _, drained := range []bool{false, true} {
		inBubble(t, 2, inactivity(time.Second), func(b *stage) {
			b.p.Start()
			b.expect("a")
			time.Sleep(time.Minute)
			r := b.stuck("a")
			if drained {
				if err := b.p.Drain(uris(1)[0]); err != nil {
					t.Fatal(err)
				}
			}
			b.downAll("a")
			time.Sleep(time.Minute)
			if got := b.released(); len(got) > 0 {
				t.Fatalf("released %v, drained: %t", got, drained)
			}
			b.set(func() { b.down["a"], b.hangs["a"] = false, true }) // the host accepts again, but nothing answers
			time.Sleep(3 * time.Second)
			if got := b.released(); len(got) == 0 || got[0] != "a" {
				t.Errorf("released %v once pings hang, drained: %t", got, drained)
			}
			r.at.End(report.Hung, errors.New("hung"))
		})
	}
}
