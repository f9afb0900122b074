// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TestManyAtOnce lets many clients meet backends that come and go, in parallel.
// It is for the race detector, and for what gets lost between goroutines: at the
// end everybody has an answer and nothing is left.
func TestManyAtOnce(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"ordered":  nil,
		"random":   random,
		"priority": priority,
		"few places": func(c *Config) {
			random(c)
			maxRequests(3)(c)
		},
		"hasty": func(c *Config) {
			random(c)
			inactivity(time.Second)(c)
			timeout(3 * time.Second)(c)
			c.Options.MaxReconnectAttempts, c.Options.MaxWaiting, c.Options.Backup = 3, 50, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 4, change, func(b *stage) {
				b.p.Start()
				stop := make(chan struct{})
				var others, clients sync.WaitGroup
				others.Go(func() { b.mischief(stop) })
				for range 100 {
					clients.Go(func() {
						for range 20 {
							b.client()
						}
					})
				}
				clients.Wait()
				close(stop)
				others.Wait()
				if err := b.leaks(); err != nil {
					t.Error(err)
				}
				b.set(func() { clear(b.down); clear(b.hangs) })
				time.Sleep(time.Minute)
				if _, err := b.send(&Request{}); err != nil {
					t.Errorf("after all is well again: %v", err)
				}
			})
		})
	}
}

// mischief changes backends and list until stop.
func (b *stage) mischief(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			b.p.Resume(uris(4)[3])
			b.p.Failback()
			return
		case <-time.After(time.Duration(rand.IntN(400)) * time.Millisecond):
		}
		host := string(rune('a' + rand.IntN(4)))
		b.set(func() {
			b.down[host] = rand.IntN(2) == 0
			b.hangs[host] = rand.IntN(6) == 0
		})
		switch u := uris(4)[3]; rand.IntN(10) {
		case 0:
			b.p.Drain(u)
		case 1:
			b.p.Resume(u)
		case 2:
			b.p.Failover(nil)
		case 3:
			b.p.Failback()
		case 4:
			b.p.AddURIs(uris(5)[4:], true)
		case 5:
			b.p.RemoveURIs(uris(5)[4:])
		case 6:
			if err := b.p.Restore(b.p.Snapshot()); err != nil {
				b.t.Error(err)
			}
		default:
			b.p.Status()
			b.p.Stats()
		}
	}
}

// client sends one request, and does with it what carriers meet.
func (b *stage) client() {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Duration(rand.IntN(20_000))*time.Millisecond)
	defer cancel()
	pause := func() { <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond) }
	r := &Request{Key: rand.Uint64N(50), Keyed: true, Safe: rand.IntN(2) == 0}
	written := map[string]int{} // by address: one that is removed and added again is the same backend
	for {
		m, err := b.ask(ctx, r)
		if err != nil {
			var u *report.UnavailableError
			if !errors.As(err, &u) && !errors.Is(err, context.DeadlineExceeded) {
				b.t.Error(err)
			}
			return
		}
		b.mu.Lock()
		down, hangs := b.down[m.URI.Host], b.hangs[m.URI.Host]
		b.mu.Unlock()
		if down {
			r.at.End(report.DialFailed, errRefused)
			continue
		}
		r.at.Connected()
		r.at.Written()
		written[m.Name]++
		if n := written[m.Name]; n > 2 || n == 2 && !same(r.reused, m) || len(written) > MaxWrites {
			b.t.Errorf("written to %d backends, to %s %d times", len(written), m.Name, n)
		}
		pause()
		if hangs {
			r.at.End(report.Hung, errReset)
			continue
		}
		switch rand.IntN(12) {
		case 0:
			r.at.End(report.Lost, errReset)
		case 1:
			r.at.End(report.LostReused, errReset)
		case 2:
			r.at.End(report.Neutral, nil)
			return
		default:
			m.Touch()
			r.at.End(report.Answered, nil)
			pause()
			r.at.Done()
			return
		}
	}
}
