// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
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
			r.at.End(report.Answered, nil)
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

// done is how many were answered.
func (c *crowd) done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished
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
			r.at.End(report.Lost, errReset)
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
				r.at.End(report.Answered, nil)
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

// endless is a crowd whose requests are not answered before they are let go.
func (b *stage) endless(n int, r Request) (letGo func()) {
	end := make(chan struct{})
	for range n {
		r := r
		go func() {
			if _, err := b.ask(b.t.Context(), &r); err != nil {
				b.t.Error(err)
				return
			}
			r.at.Connected()
			r.at.Written()
			<-end
			r.at.End(report.Neutral, nil)
		}()
		synctest.Wait()
	}
	return func() { close(end); synctest.Wait() }
}

// Requests that take as long as their clients like have their place for a second.
func TestAPlaceInTheGateHasASecond(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.lose("a")
		letGo := b.endless(100, Request{Client: 1})
		c := b.crowd(10, 10*time.Millisecond)
		b.up("a")
		b.p.do(func(x *machine) error { x.passSoon(); return nil })
		synctest.Wait()
		// They have taken the gate, and the member is not up yet.
		late := b.crowd(1, 10*time.Millisecond)
		if late.count() > 0 || b.state("a") != "trial" {
			t.Errorf("%d came in, a is %s", late.count(), b.state("a"))
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if s := b.state("a"); s != "up" {
			t.Errorf("after a second a is %s", s)
		}
		// Now that it is up a fresh request waits for nobody.
		b.expect("a")
		time.Sleep(2 * time.Second)
		if n, last := c.done(), late.done(); n != 10 || last != 1 {
			t.Errorf("%d and %d were answered behind a hundred that are not", n, last)
		}
		letGo()
		b.empty()
	})
}

// Bodies on their way leave half of the places to the others.
func TestBodiesHaveHalfOfTheGate(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.lose("a")
		letGo := b.endless(40, Request{Client: 1, Unread: true})
		c := b.crowd(5, 10*time.Millisecond)
		b.up("a")
		b.p.do(func(x *machine) error { x.passSoon(); return nil })
		synctest.Wait()
		if n := c.count(); n != 5 {
			t.Errorf("%d of 5 are on the backend beside uploads that stall", n)
		}
		if n := b.p.Members()[0].inProgress.Load(); n != 13 {
			t.Errorf("%d are on the backend", n)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		time.Sleep(5 * time.Second)
		letGo()
		b.empty()
	})
}

// A crowd of repeats keeps no fresh request from a member that is up.
func TestAFreshRequestIsNotForTheGateOfAMemberThatIsUp(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		var polls []*Request
		for range 20 {
			r := &Request{Safe: true, Client: 1}
			b.pick(r)
			polls = append(polls, r)
		}
		b.downAll("a")
		for _, r := range polls {
			b.lost(r)
		}
		letGo := make(chan struct{})
		for _, r := range polls {
			go func() {
				if _, err := b.ask(b.t.Context(), r); err != nil {
					t.Error(err)
				}
				r.at.Connected()
				<-letGo
				r.at.End(report.Neutral, nil)
			}()
		}
		synctest.Wait()
		if n := b.p.Members()[1].inProgress.Load(); n != 16 {
			t.Errorf("%d of the repeats are on b", n)
		}
		start := time.Now()
		b.expect("b")
		if took := time.Since(start); took > 0 {
			t.Errorf("the fresh one took %v", took)
		}
		// Those that take long do not keep the other repeats waiting for ever.
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if n := b.p.Members()[1].inProgress.Load(); n != 20 {
			t.Errorf("%d of the repeats are on b a second later", n)
		}
		close(letGo)
		b.empty()
	})
}
