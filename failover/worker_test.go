// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// times makes durations of milliseconds.
func times(ms ...int) (list []time.Duration) {
	for _, n := range ms {
		list = append(list, time.Duration(n)*time.Millisecond)
	}
	return list
}

func TestPassesAtStartUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*address.Options)
		want   []time.Duration
	}{
		{"defaults", func(*address.Options) {}, times(0, 20, 60, 140, 300, 620, 1260, 2540, 5100)},
		{"cap", func(o *address.Options) {
			o.InitialReconnectDelay, o.MaxReconnectDelay = 100*time.Millisecond, 500*time.Millisecond
		}, times(0, 200, 600, 1100, 1600)},
		{"exponential off", func(o *address.Options) {
			o.InitialReconnectDelay, o.UseExponentialBackOff = 300*time.Millisecond, false
		}, times(0, 300, 600, 900)},
		{"no initial delay", func(o *address.Options) { o.InitialReconnectDelay = 0 }, times(0, 10, 20, 30, 40)},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := func(c *Config) { test.change(&c.Options) }
			inBubble(t, 2, change, func(b *stage) {
				b.downAll("a", "b")
				b.p.Start()
				time.Sleep(test.want[len(test.want)-1] + time.Millisecond)
				for _, name := range []string{"a", "b"} {
					if got := b.passes(name); !slices.Equal(got, test.want) {
						t.Errorf("passes over %s at %v, want %v", name, got, test.want)
					}
				}
			})
		})
	}
}

// lose takes the only backends of a pool down at the stage's time zero.
func (b *stage) lose(names ...string) {
	b.t.Helper()
	synctest.Wait()
	b.downAll(names...)
	b.set(func() { b.pings, b.start = nil, time.Now() })
	b.p.do(func(x *machine) error {
		for _, m := range x.members {
			x.fail(m, "dial", report.Note(errRefused))
		}
		return nil
	})
	synctest.Wait()
}

func TestFirstPassAfterALossFollowsTheInitialDelay(t *testing.T) {
	change := func(c *Config) { c.Options.InitialReconnectDelay = 50 * time.Millisecond }
	for _, first := range []string{"ping", "request"} { // is answered first
		t.Run(first, func(t *testing.T) {
			inBubble(t, 2, change, func(b *stage) {
				if first == "request" {
					b.set(func() { b.hangs["a"], b.hangs["b"] = true, true })
				}
				b.p.Start()
				synctest.Wait()
				b.expect("a")
				b.set(func() { clear(b.hangs) })
				time.Sleep(time.Minute)
				b.lose("a", "b")
				time.Sleep(1600 * time.Millisecond)
				want := times(50, 150, 350, 750, 1550)
				if got := b.passes("b"); !slices.Equal(got, want) {
					t.Errorf("passes at %v, want %v", got, want)
				}
			})
		})
	}
}

func TestNoDelayExceedsASecondWhileSomebodyCares(t *testing.T) {
	t.Run("nobody", func(t *testing.T) {
		inBubble(t, 1, nil, func(b *stage) {
			b.p.Start()
			b.expect("a")
			time.Sleep(time.Minute)
			b.lose("a")
			time.Sleep(5200 * time.Millisecond)
			if got, want := b.passes("a"), times(10, 30, 70, 150, 310, 630, 1270, 2550, 5110); !slices.Equal(got, want) {
				t.Errorf("passes at %v, want %v", got, want)
			}
		})
	})
	t.Run("a request waits", func(t *testing.T) {
		inBubble(t, 1, nil, func(b *stage) {
			b.p.Start()
			b.expect("a")
			time.Sleep(time.Minute)
			b.lose("a")
			time.Sleep(2 * time.Second)
			done := b.waiting(b.t.Context(), &Request{}) // the wait since 1.27 s ends at 2.27 s, not at 2.55 s
			time.Sleep(3 * time.Second)
			if got, want := b.passes("a")[6:], times(1270, 2270, 3270, 4270); !slices.Equal(got, want) {
				t.Errorf("passes at %v, want %v", got, want)
			}
			b.up("a")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a request came within ten seconds", func(t *testing.T) {
		inBubble(t, 1, func(c *Config) { c.Options.Timeout, c.Options.TimeoutSet = 10*time.Millisecond, true }, func(b *stage) {
			b.p.Start()
			b.expect("a")
			time.Sleep(time.Minute)
			b.lose("a")
			if why, _ := b.reason(&Request{}); why != report.ReasonTimeout {
				t.Errorf("got %v", why)
			}
			time.Sleep(19 * time.Second)
			got := b.passes("a")
			for i := 1; i < len(got); i++ {
				if gap := got[i] - got[i-1]; got[i] < 10*time.Second && gap > time.Second {
					t.Errorf("waited %v until %v", gap, got[i])
				}
			}
			if last := got[len(got)-1]; last > 12*time.Second {
				t.Errorf("still passes at %v although nobody asks", last)
			}
		})
	})
	t.Run("not when the user set the delay", func(t *testing.T) {
		inBubble(t, 1, func(c *Config) { c.Options.MaxReconnectDelaySet = true }, func(b *stage) {
			b.p.Start()
			b.expect("a")
			b.lose("a")
			b.waiting(b.t.Context(), &Request{Deadline: time.Now().Add(5 * time.Second)})
			time.Sleep(5500 * time.Millisecond)
			if got, want := b.passes("a")[6:], times(1270, 2550, 5110); !slices.Equal(got, want) {
				t.Errorf("passes at %v, want %v", got, want)
			}
		})
	})
}

func TestJitterStaysInItsShare(t *testing.T) {
	change := func(c *Config) {
		c.Options.ReconnectJitter, c.Options.UseExponentialBackOff = 0.2, false
		c.Options.InitialReconnectDelay = time.Second
	}
	inBubble(t, 1, change, func(b *stage) {
		b.downAll("a")
		b.p.Start()
		time.Sleep(time.Minute)
		got := b.passes("a")
		different := map[time.Duration]bool{}
		for i := 1; i < len(got); i++ {
			gap := got[i] - got[i-1]
			different[gap] = true
			if gap < 800*time.Millisecond || gap > 1200*time.Millisecond {
				t.Errorf("waited %v", gap)
			}
		}
		if len(different) < 10 {
			t.Errorf("%d different waits in %d passes", len(different), len(got))
		}
	})
}

// One member that drops packets does not slow the search for the others.
func TestAPassIsBounded(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.downAll("a")
		b.set(func() { b.hangs["b"], b.mute["b"] = true, true })
		b.p.Start()
		synctest.Wait()
		done := b.waiting(b.t.Context(), &Request{})
		time.Sleep(2500 * time.Millisecond)
		got := b.passes("a")
		for i := 1; i < len(got); i++ {
			if gap := got[i] - got[i-1]; gap > 1100*time.Millisecond {
				t.Errorf("waited %v for the next pass", gap)
			}
		}
		b.up("a")
		if err := <-done; err != nil || time.Since(b.start) > 3600*time.Millisecond {
			t.Errorf("error %v after %v", err, time.Since(b.start))
		}
	})
}

func TestResumeAndNewAddressesStartAPassAtOnce(t *testing.T) {
	change := func(c *Config) {
		c.Options.InitialReconnectDelay, c.Options.MaxReconnectDelaySet = 20*time.Second, true
	}
	for name, act := range map[string]func(p *Pool){
		"resume": func(p *Pool) { p.Drain(uris(2)[1]); p.Resume(uris(2)[1]) },
		"add":    func(p *Pool) { p.AddURIs(uris(3)[2:], false) },
		"reload": func(p *Pool) { p.Rebind(p.cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, change, func(b *stage) {
				b.downAll("a", "b")
				b.p.Start()
				time.Sleep(5 * time.Second)
				act(b.p)
				synctest.Wait()
				if got, want := b.passes("a"), times(0, 5000); !slices.Equal(got, want) {
					t.Errorf("passes at %v, want %v", got, want)
				}
			})
		})
	}
}

func TestPassWarnings(t *testing.T) {
	var lines strings.Builder
	change := func(c *Config) {
		c.Options.WarnAfterReconnectAttempts = 3
		c.Options.UseExponentialBackOff, c.Options.InitialReconnectDelay = false, 2*time.Second
		c.Options.MaxReconnectDelaySet = true
		c.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	inBubble(t, 1, change, func(b *stage) {
		b.downAll("a")
		b.p.Start()
		time.Sleep(31 * time.Second) // passes at 0, 2, … 30 s: sixteen
		b.p.Close()
		var got []string
		for line := range strings.SplitSeq(lines.String(), "\n") {
			if _, rest, ok := strings.Cut(line, "failed_passes="); ok {
				n, _, _ := strings.Cut(rest, " ")
				got = append(got, n)
			}
		}
		// The 3rd is too soon after the 1st, the 9th after the 6th, the 15th after the 12th.
		if want := []string{"1", "6", "12"}; !slices.Equal(got, want) {
			t.Errorf("warned at failed passes %v, want %v\n%s", got, want, lines.String())
		}
	})
}
