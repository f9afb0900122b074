// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// crowd is many requests that wait for a backend.
type crowd struct {
	mu       sync.Mutex
	order    []int // in which they got their member
	busy     int
	finished int
}

// crowd starts n waiting requests, one after the other. Each is on the backend
// for the time that took says.
func (b *stage) crowd(n int, took time.Duration) *crowd {
	c := &crowd{}
	for i := range n {
		go func() {
			r := &Request{}
			if _, err := b.ask(b.t.Context(), r); err != nil {
				b.t.Error(err)
				return
			}
			c.mu.Lock()
			c.order = append(c.order, i)
			c.busy++
			c.mu.Unlock()
			r.at.Connected()
			r.at.Written()
			<-time.After(took)
			c.mu.Lock()
			c.busy--
			c.finished++
			c.mu.Unlock()
			r.at.End(Answered, nil)
			r.at.Done()
		}()
		synctest.Wait()
	}
	return c
}

// count is how many of them are on the backend.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

func TestTheGateLetsTheCrowdInByAndBy(t *testing.T) {
	const n = 1000
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.lose("a")
		const took = 10 * time.Millisecond
		c := b.crowd(n, took)
		b.up("a")
		b.p.do(func(x *machine) error { x.passSoon(); return nil })
		synctest.Wait()
		var rounds []int
		for left := n; left > 0; {
			c.mu.Lock()
			rounds = append(rounds, c.busy)
			left = n - c.finished - c.busy
			c.mu.Unlock()
			time.Sleep(took)
			synctest.Wait()
		}
		if want := []int{16, 32, 64, 128, 256, 504}; !slices.Equal(rounds, want) {
			t.Errorf("at a time on the backend: %v, want %v", rounds, want)
		}
		for at := 0; len(rounds) > 0; rounds = rounds[1:] {
			c.mu.Lock()
			round := c.order[at : at+rounds[0]] // these were let in together
			slices.Sort(round)
			if round[0] != at || round[len(round)-1] != at+len(round)-1 {
				t.Errorf("request %d passed before %d", round[len(round)-1], at)
			}
			at += len(round)
			c.mu.Unlock()
		}
		b.empty()
	})
}

func TestAFreshRequestDoesNotOvertake(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.lose("a")
		c := b.crowd(40, time.Second)
		b.up("a")
		b.p.do(func(x *machine) error { x.passSoon(); return nil })
		synctest.Wait()
		late := b.crowd(1, time.Second)
		if late.count() > 0 {
			t.Fatal("the fresh request passed while others wait")
		}
		time.Sleep(1500 * time.Millisecond)
		if waited, came := c.count(), late.count(); waited != 24 || came != 1 {
			t.Errorf("%d of those that waited and %d that came later are on the backend, want 24 and 1", waited, came)
		}
		time.Sleep(2 * time.Second)
		b.empty()
	})
}

func TestTheGateNarrowsWhenOneIsLost(t *testing.T) {
	g := tracker.NewGate()
	for range 3 {
		for range g.Width {
			g.Used++
			leaveGate(&g, Answered)
		}
	}
	if g.Width != 128 {
		t.Fatalf("width is %d after three rounds", g.Width)
	}
	for _, o := range []Outcome{Neutral, DialAborted, LostReused} {
		g.Used++
		if leaveGate(&g, o); g.Width != 128 {
			t.Errorf("%v changed the width to %d", o, g.Width)
		}
	}
	g.Used++
	if leaveGate(&g, Lost); g.Width != 16 || g.Used != 0 {
		t.Errorf("after a loss the width is %d, %d used", g.Width, g.Used)
	}
}

// Requests that are sent again after a member died do not run over the next one.
func TestRepeatsPassTheGateOfTheNextMember(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		var requests []*Request
		for range 50 {
			r := &Request{Safe: true}
			if m, err := b.ask(b.t.Context(), r); err != nil || m.URI.Host != "a" {
				t.Fatal(m, err)
			}
			r.at.Connected()
			r.at.Written()
			requests = append(requests, r)
		}
		b.downAll("a")
		var mu sync.Mutex
		on := 0
		for _, r := range requests {
			r.at.End(Lost, errReset)
			go func() {
				if _, err := b.ask(b.t.Context(), r); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				on++
				mu.Unlock()
				r.at.Connected()
				r.at.Written()
				<-time.After(time.Second)
				r.at.End(Answered, nil)
				r.at.Done()
			}()
		}
		synctest.Wait()
		mu.Lock()
		if on != 16 {
			t.Errorf("%d repeats are on b at once, want 16", on)
		}
		mu.Unlock()
		b.expect("b") // in its turn
		time.Sleep(5 * time.Second)
		b.empty()
	})
}
