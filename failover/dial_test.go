// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// dial keeps n requests dialling, like a carrier that heeds Abandoned does, and
// returns the hosts they end up on.
func (b *stage) dial(n int) <-chan string {
	out := make(chan string, n)
	for range n {
		go func() {
			r := &Request{Safe: true}
			for {
				m, err := b.ask(b.t.Context(), r)
				if err != nil {
					out <- err.Error()
					return
				}
				b.mu.Lock()
				hangs := b.hangs[m.URI.Host]
				b.mu.Unlock()
				if !hangs {
					r.at.Connected()
					r.at.End(report.Answered, nil)
					r.at.Done()
					out <- m.URI.Host
					return
				}
				select {
				case <-r.at.Abandoned().Done():
					r.at.End(report.DialAborted, nil)
				case <-time.After(m.Limits().ConnectionTimeout):
					r.at.End(report.DialFailed, errRefused)
				}
			}
		}()
	}
	synctest.Wait()
	return out
}

func TestHangingDialsMoveOnAfterASecond(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.set(func() { b.hangs["a"], b.mute["a"] = true, true })
		out := b.dial(50)
		start := time.Now()
		for range 50 {
			if host := <-out; host != "b" {
				t.Fatalf("got %s", host)
			}
		}
		if took := time.Since(start); took < time.Second || took > 1150*time.Millisecond {
			t.Errorf("they moved on after %v", took)
		}
		// New ones pass it over at once.
		start = time.Now()
		b.expect("b")
		if took := time.Since(start); took > 0 {
			t.Errorf("a new request took %v", took)
		}
		if s := b.state("a"); s != "suspect" {
			t.Errorf("it is %s", s)
		}
		time.Sleep(3500 * time.Millisecond) // its ping fails as well
		if s := b.state("a"); s != "down" {
			t.Errorf("it is %s", s)
		}
		b.empty()
	})
}

func TestAHangingDialIsNotAbandonedWithoutAlternative(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.set(func() { b.hangs["a"], b.mute["a"] = true, true })
		first := b.dial(10)
		time.Sleep(1200 * time.Millisecond)
		more := b.dial(30)
		n := 0
		b.p.do(func(x *machine) error { n = x.members[0].dialing(); return nil })
		if n != maxPendingDials {
			t.Errorf("%d dials are pending, want %d", n, maxPendingDials)
		}
		// The first that fails ends the wait of all; then the backend returns.
		b.set(func() { b.hangs["a"] = false })
		start := time.Now()
		for range 10 {
			<-first
		}
		for range 30 {
			<-more
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		b.empty()
	})
}

func TestTheFirstFailedDialEndsTheWaitOfAll(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.set(func() { b.hangs["a"], b.mute["a"] = true, true })
		out := b.dial(20)
		time.Sleep(100 * time.Millisecond)
		b.downAll("a")
		b.expect("b") // its own dial is refused
		start := time.Now()
		for range 20 {
			if host := <-out; host != "b" {
				t.Fatalf("got %s", host)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v", took)
		}
		b.empty()
	})
}

func TestADialThatSucceedsClearsTheSuspicion(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		r := &Request{}
		b.pick(r)
		b.set(func() { b.hangs["a"], b.mute["a"] = true, true })
		time.Sleep(1200 * time.Millisecond)
		if s := b.state("a"); s != "suspect" {
			t.Fatalf("it is %s", s)
		}
		r.at.Connected()
		b.set(func() { clear(b.mute) })
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		r.at.End(report.Answered, nil)
		r.at.Done()
		b.expect("a") // and nobody was moved
	})
}
