// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// pick lets a request choose, and leaves it dialling.
func (b *stage) pick(r *Request) string {
	b.t.Helper()
	m, err := b.ask(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return m.URI.Host
}

// lost ends a request that was written without an answer.
func (b *stage) lost(r *Request) {
	r.at.Connected()
	r.at.Written()
	r.at.End(report.Lost, errReset)
}

func TestADeadSuspectGoesDownByItsPing(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.downAll("a")
		r := &Request{}
		b.pick(r)
		b.lost(r)
		synctest.Wait()
		if s := b.state("a"); s != "down" {
			t.Errorf("it is %s", s)
		}
	})
}

func TestReattachment(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		r := &Request{Safe: true}
		for _, want := range []string{"a", "a", "b"} { // once more to the same, then on
			if got := b.pick(r); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			r.at.Connected()
			r.at.Written()
			r.at.End(report.LostReused, nil)
		}
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		if r.to[1] == nil || r.to[2] != nil {
			t.Errorf("the reattachment counts: written to %v", r.to)
		}
		b.expect("a")
		b.empty()
	})
}

func TestARequestThatLostTheOnlyMemberIsNotSentAgain(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.set(func() { b.loses["a"] = 1 })
		b.p.Start()
		synctest.Wait()
		if why, took := b.reason(&Request{Safe: true}); why != report.ReasonSpent || took > 0 {
			t.Errorf("%q after %v", why, took)
		}
		b.expect("a")
	})
}

// A repeat does not wait for a member that is down while the pool works.
func TestARepeatWithNobodyLeftDoesNotWait(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		b.p.do(func(x *machine) error { x.fail(x.members[1], "dial", report.Note(errRefused)); return nil })
		b.downAll("b")
		r := &Request{Safe: true}
		b.pick(r)
		b.lost(r)
		done := b.waiting(b.t.Context(), r) // a is suspect: who knows
		b.expect("a")
		var u *report.UnavailableError
		if err := <-done; !errors.As(err, &u) || u.Reason != report.ReasonSpent {
			t.Errorf("got %v", err)
		}
	})
}

func TestAReturningMemberServesOneSafeRequestFirst(t *testing.T) {
	inBubble(t, 2, func(c *Config) { c.Options.Affinity.Kind = address.AffinityRequest }, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("a")
		b.expect("b")
		time.Sleep(time.Minute)
		b.up("a")
		time.Sleep(time.Minute)
		if s := b.state("a"); s != "trial" {
			t.Fatalf("it is %s", s)
		}
		if got := b.pick(&Request{}); got != "b" { // stays in progress
			// After ten seconds any request may try.
			if got != "a" {
				t.Fatalf("got %s", got)
			}
		}
	})
	inBubble(t, 2, func(c *Config) { c.Options.Affinity.Kind = address.AffinityRequest }, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("a")
		b.expect("b")
		b.up("a")
		time.Sleep(time.Second)
		unsafe, trial, second := &Request{}, &Request{Safe: true}, &Request{Safe: true}
		for _, c := range []struct {
			r    *Request
			want string
		}{{unsafe, "b"}, {trial, "a"}, {second, "b"}} {
			if got := b.pick(c.r); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
		}
		b.downAll("a")
		b.lost(trial) // the ping after it finds out
		synctest.Wait()
		if s := b.state("a"); s != "down" {
			t.Errorf("it is %s", s)
		}
		step := 0
		b.p.do(func(x *machine) error { step = x.members[0].step; return nil })
		if step != 2 {
			t.Errorf("the back-off began anew: step %d", step)
		}
		unsafe.at.End(report.Neutral, nil)
		second.at.End(report.Neutral, nil)
		b.empty()
	})
}

func TestLateFailuresSayNothing(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		old, older := &Request{}, &Request{}
		b.pick(old)
		b.pick(older)
		b.downAll("a")
		b.expect("b")
		b.up("a")
		time.Sleep(5 * time.Second)
		b.p.Failback()
		b.expect("a")
		b.expect("a")
		if s := b.state("a"); s != "up" {
			t.Fatalf("it is %s", s)
		}
		old.at.End(report.DialFailed, errRefused)
		b.lost(older)
		if s := b.state("a"); s != "up" {
			t.Errorf("failures from before its return made it %s", s)
		}
	})
}

func TestNeutralOutcomesSayNothing(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		for _, o := range []report.Outcome{report.DialAborted, report.Neutral, report.LostReused, report.DialAborted, report.Neutral} {
			r := &Request{}
			b.pick(r)
			r.at.End(o, errReset)
		}
		if s := b.state("a"); s != "up" {
			t.Errorf("it is %s", s)
		}
		b.empty()
	})
}
