// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

func timeout(d time.Duration) func(*Config) {
	return func(c *Config) { c.Options.Timeout, c.Options.TimeoutSet = d, true }
}

func TestDialFailureGoesToTheNextAtOnce(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		b.downAll("a")
		start := time.Now()
		b.expect("b")
		b.expect("b")
		b.downAll("b")
		b.expect("c")
		if took := time.Since(start); took > 0 {
			t.Errorf("moving on took %v", took)
		}
		if n := b.told("failover_interrupted"); n != 2 {
			t.Errorf("%d events, want one per backend", n)
		}
	})
}

func TestWaitsForTheFirstThatReturns(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.downAll("a", "b")
		b.p.Start()
		synctest.Wait()
		time.AfterFunc(1500*time.Millisecond, func() { b.up("b") })
		b.expect("b")
		if took := time.Since(b.start); took < 1500*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// The option is one budget for all the time a request spends without a connection.
func TestTimeout(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		inBubble(t, 1, timeout(700*time.Millisecond), func(b *stage) {
			b.downAll("a")
			b.p.Start()
			synctest.Wait()
			if why, took := b.reason(&Request{}); why != report.ReasonTimeout || took != 700*time.Millisecond {
				t.Errorf("%q after %v", why, took)
			}
		})
	})
	t.Run("dials count, answers in progress do not", func(t *testing.T) {
		inBubble(t, 2, timeout(700*time.Millisecond), func(b *stage) {
			b.p.Start()
			synctest.Wait()
			r := &Request{}
			next := func() {
				b.t.Helper()
				if _, err := b.ask(b.t.Context(), r); err != nil {
					b.t.Fatal(err)
				}
			}
			next()
			time.Sleep(300 * time.Millisecond) // dials
			b.downAll("a", "b")
			r.at.End(report.DialFailed, errRefused)
			next()
			if left := time.Until(r.at.ConnectBy()); left != 400*time.Millisecond {
				t.Errorf("%v are left for the dial, want 400ms", left)
			}
			time.Sleep(100 * time.Millisecond)
			r.at.Connected()
			time.Sleep(time.Minute) // has its connection
			r.at.Written()
			r.at.End(report.Lost, errReset)
			start := time.Now()
			if why, _ := b.reason(r); why != report.ReasonTimeout || time.Since(start) != 300*time.Millisecond {
				t.Errorf("%q after %v, want 300ms", why, time.Since(start))
			}
		})
	})
	t.Run("Request.Deadline", func(t *testing.T) {
		inBubble(t, 1, timeout(time.Minute), func(b *stage) {
			b.downAll("a")
			b.p.Start()
			synctest.Wait()
			r := &Request{Deadline: time.Now().Add(2 * time.Second)}
			if why, took := b.reason(r); why != report.ReasonTimeout || took != 2*time.Second {
				t.Errorf("%q after %v", why, took)
			}
		})
	})
}

func TestFirstWait(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		after  time.Duration
	}{
		{"five seconds", nil, 5 * time.Second},
		{"unless timeout is set", timeout(8 * time.Second), 8 * time.Second},
		{"also to no limit", timeout(-1), 20 * time.Second},
		{"unless a start-up limit is set", func(c *Config) { c.Options.StartupMaxReconnectAttemptsSet = true }, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, 1, test.change, func(b *stage) {
				b.downAll("a")
				b.p.Start()
				synctest.Wait()
				r := &Request{Deadline: time.Now().Add(20 * time.Second)}
				if why, took := b.reason(r); why != report.ReasonTimeout || took != test.after {
					t.Errorf("%q after %v, want %v", why, took, test.after)
				}
			})
		})
	}
	t.Run("not once the pool has reached a backend", func(t *testing.T) {
		inBubble(t, 1, nil, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.lose("a")
			time.AfterFunc(30*time.Second, func() { b.up("a") })
			b.expect("a")
		})
	})
}

func TestMaxWaiting(t *testing.T) {
	inBubble(t, 1, func(c *Config) { c.Options.MaxWaiting = 2 }, func(b *stage) {
		b.downAll("a")
		b.p.Start()
		synctest.Wait()
		ctx, cancel := context.WithCancel(b.t.Context())
		one, two := b.waiting(ctx, &Request{}), b.waiting(ctx, &Request{})
		if why, took := b.reason(&Request{}); why != report.ReasonTooMany || took > 0 {
			t.Errorf("%q after %v", why, took)
		}
		if n := b.p.Status().Waiting; n != 2 {
			t.Errorf("%d wait", n)
		}
		cancel()
		for _, c := range []<-chan error{one, two} {
			if err := <-c; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if n := b.p.Status().Waiting; n != 0 {
			t.Errorf("%d wait after all have left", n)
		}
	})
}

func TestDrainedPoolAnswersAtOnce(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		if err := errors.Join(b.p.Drain(uris(2)[0]), b.p.Drain(uris(2)[1])); err != nil {
			t.Fatal(err)
		}
		if why, took := b.reason(&Request{}); why != report.ReasonDrained || took > 0 {
			t.Errorf("%q after %v", why, took)
		}
		if err := b.p.Resume(uris(2)[1]); err != nil {
			t.Fatal(err)
		}
		b.expect("b")
	})
	inBubble(t, 1, nil, func(b *stage) { // those that wait already learn it too
		b.downAll("a")
		b.p.Start()
		synctest.Wait()
		done := b.waiting(b.t.Context(), &Request{})
		b.p.Drain(uris(1)[0])
		var u *report.UnavailableError
		if err := <-done; !errors.As(err, &u) || u.Reason != report.ReasonDrained {
			t.Errorf("got %v", err)
		}
	})
}

func TestClientThatLeftIsNotServed(t *testing.T) {
	t.Run("while it waits", func(t *testing.T) {
		inBubble(t, 1, nil, func(b *stage) {
			b.downAll("a")
			b.p.Start()
			synctest.Wait()
			var gone atomic.Bool
			done := b.waiting(b.t.Context(), &Request{Present: func() bool { return !gone.Load() }})
			time.Sleep(time.Second + 10*time.Millisecond)
			gone.Store(true)
			start := time.Now()
			if err := <-done; !errors.Is(err, ErrClientGone) || time.Since(start) > pollEvery {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
			b.empty()
		})
	})
	t.Run("right before it would be written", func(t *testing.T) {
		inBubble(t, 1, nil, func(b *stage) {
			b.downAll("a")
			b.p.Start()
			synctest.Wait()
			asked := time.Now()
			// Leaves between two looks.
			r := &Request{Present: func() bool { return time.Since(asked) <= pollEvery }}
			done := b.waiting(b.t.Context(), r)
			b.p.do(func(x *machine) error { return nil })
			time.Sleep(610 * time.Millisecond)
			b.up("a")
			if err := <-done; !errors.Is(err, ErrClientGone) {
				t.Errorf("got %v", err)
			}
			b.empty()
		})
	})
}

// empty checks that no place, gate or slot is kept by a request that is over.
func (b *stage) empty() {
	b.t.Helper()
	if err := b.leaks(); err != nil {
		b.t.Error(err)
	}
}

func (b *stage) leaks() error {
	synctest.Wait()
	return b.p.do(func(x *machine) error {
		if n := b.p.inProgress.Load(); n != 0 || x.queue.len() != 0 || x.queue.passing != 0 {
			return fmt.Errorf("%d in progress, %d wait, %d of them for a pass", n, x.queue.len(), x.queue.passing)
		}
		for _, m := range x.members {
			if m.inProgress.Load() != 0 || m.dialing() != 0 || m.gate.Used != 0 || m.flow.Uploading.Load() != 0 {
				return fmt.Errorf("%s: %d in progress, %d dial, %d in the gate", m.Name, m.inProgress.Load(), m.dialing(), m.gate.Used)
			}
		}
		return nil
	})
}

func TestInterruptAndCloseEndAllWaiting(t *testing.T) {
	for name, end := range map[string]func(p *Pool){"interrupt": (*Pool).Interrupt, "close": (*Pool).Close} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(b *stage) {
				b.downAll("a")
				b.p.Start()
				synctest.Wait()
				done := b.waiting(b.t.Context(), &Request{})
				end(b.p)
				var u *report.UnavailableError
				if err := <-done; !errors.As(err, &u) || u.Reason != report.ReasonClosed {
					t.Errorf("got %v", err)
				}
				if why, took := b.reason(&Request{}); why != report.ReasonClosed || took > 0 {
					t.Errorf("later: %q after %v", why, took)
				}
				b.empty()
			})
		})
	}
}

func TestChoosingGoesOnAfterInterrupt(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.p.Interrupt()
		b.expect("a")
		b.downAll("a")
		b.expect("b")
	})
}
