// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// stale sends the request on a connection that was there before and ends without a
// byte.
func (b *stage) stale(r *Request) {
	r.at.Connected()
	r.at.Written()
	r.at.End(report.LostReused, errReset)
}

// A backend that is being restarted ends a kept connection and refuses the one that
// makes up for it: the request waits as one does that comes a moment later, and goes
// there once more, and no oftener.
func TestAStaleConnectionIsMadeUpForLater(t *testing.T) {
	for name, tries := range map[string]int{"refused": 1, "refused twice": 2, "never tried": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				synctest.Wait()
				r := &Request{Safe: true}
				b.pick(r)
				b.stale(r)
				for range tries {
					b.pick(r)
					r.at.End(report.DialAborted, nil)
				}
				if tries > 0 {
					b.downAll("a")
					b.pick(r)
					r.at.End(report.DialFailed, errRefused)
				}
				time.AfterFunc(700*time.Millisecond, func() { b.up("a") })
				if got := b.pick(r); got != "a" {
					t.Fatalf("it went to %s", got)
				}
				b.stale(r)
				if why, took := b.reason(r); why != report.ReasonSpent || took > 0 {
					t.Errorf("after two writes: %q after %v", why, took)
				}
				b.empty()
			})
		})
	}
}

// Nothing of that delays a request that has another backend.
func TestAStaleConnectionIsMadeUpForElsewhere(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		r := &Request{Safe: true}
		b.pick(r)
		b.stale(r)
		b.downAll("a")
		b.pick(r)
		r.at.End(report.DialFailed, errRefused)
		start := time.Now()
		if m, err := b.send(r); err != nil || m.URI.Host != "b" || time.Since(start) > 0 {
			t.Errorf("got %v, error %v, after %v", m, err, time.Since(start))
		}
	})
}

// What makes up for it may be the fourth write, at that backend and at no other.
func TestTheFourthWriteIsForTheStaleConnection(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.downAll("a", "b") // for the pings that follow
		r := &Request{Safe: true}
		for _, want := range []string{"a", "b"} {
			if got := b.pick(r); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			b.lost(r)
		}
		if got := b.pick(r); got != "c" {
			t.Fatalf("got %s", got)
		}
		b.stale(r)
		if r.Spent() {
			t.Error("nothing is left, and c is still to be made up for")
		}
		b.downAll("c")
		b.pick(r)
		r.at.End(report.DialFailed, errRefused)
		time.AfterFunc(time.Second, func() { b.up("c") })
		if got := b.pick(r); got != "c" {
			t.Fatalf("the fourth write goes to %s", got)
		}
		b.lost(r)
		if why, _ := b.reason(r); why != report.ReasonSpent || r.writes != MaxWrites+1 {
			t.Errorf("%q after %d writes", why, r.writes)
		}
	})
}

// An address that is taken out and put back meanwhile is the same backend.
func TestAnAddressPutBackGetsNothingTwice(t *testing.T) {
	for name, end := range map[string]report.Outcome{"lost": report.Lost, "stale and made up for": report.LostReused} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				synctest.Wait()
				r := &Request{Safe: true}
				b.pick(r)
				if end == report.LostReused {
					b.stale(r)
					b.pick(r)
				}
				r.at.Connected()
				r.at.Written()
				if _, err := b.p.RemoveURIs(uris(1)); err != nil {
					t.Fatal(err)
				}
				if _, err := b.p.AddURIs(uris(1), false); err != nil {
					t.Fatal(err)
				}
				if err := b.p.Drain(uris(2)[1]); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				b.expect("a")
				r.at.End(end, errReset)
				if why, _ := b.reason(r); why != report.ReasonSpent {
					t.Errorf("%q", why)
				}
			})
		})
	}
}
