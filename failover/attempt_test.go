// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// What is said of an attempt a second time, or out of turn, counts for nothing.
func TestOneEndForEachNext(t *testing.T) {
	for o := report.Answered; o <= report.Neutral; o++ {
		t.Run(o.String(), func(t *testing.T) {
			inBubble(t, 2, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				r := &Request{Safe: true}
				a, err := b.p.Next(b.t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				m := a.Member()
				counted := m.outcomes[o].Load()
				a.Done() // too early
				if n := m.inProgress.Load(); n != 1 {
					t.Fatalf("%d requests have a place", n)
				}
				a.Connected()
				a.Connected()
				a.Written()
				a.Written()
				a.End(o, errReset)
				a.End(o, errReset)
				a.End(report.Hung, errReset)
				if o == report.Answered {
					if n := m.inProgress.Load(); n != 1 {
						t.Fatalf("%d requests have a place while the response goes on", n)
					}
				}
				a.Done()
				a.Done()
				a.Written()
				if got := m.outcomes[o].Load() - counted; got != 1 || r.writes != 1 || r.hung > 1 {
					t.Errorf("it ended %d times, was written %d times, hung %d times", got, r.writes, r.hung)
				}
				if a.Member() != m {
					t.Error("where it went is not known any more")
				}
				b.empty()
			})
		})
	}
}

// The attempts of a request are different ones: what is said late of the first
// does not end the second.
func TestALateEndIsOfItsAttempt(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := &Request{Safe: true}
		first, err := b.p.Next(b.t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		first.End(report.Lost, errReset)
		second, err := b.p.Next(b.t.Context(), r)
		if err != nil || second == first {
			t.Fatalf("got the same attempt again, or error %v", err)
		}
		first.End(report.Answered, nil)
		first.Done()
		if n := second.Member().inProgress.Load(); n != 1 {
			t.Errorf("the second attempt has %d places", n)
		}
		second.End(report.Neutral, nil)
		b.empty()
	})
}

// Three writes are the limit, however many members that makes; what makes up for
// a stale connection comes on top once the limit is reached.
func TestWritesAreLimited(t *testing.T) {
	for _, test := range []struct {
		name string
		dead []string // who answers no ping any more
		ends []report.Outcome
		want []string // who got it
	}{
		{"lost by three", []string{"a", "b"}, []report.Outcome{report.Lost, report.Lost, report.Lost, report.Lost}, []string{"a", "b", "c"}},
		{"lost by two that live", nil, []report.Outcome{report.Lost, report.Lost, report.Lost}, []string{"a", "b"}},
		{"lost by one that died and two that live", []string{"a"}, []report.Outcome{report.Lost, report.Lost, report.Lost}, []string{"a", "b", "c"}},
		{"reset by two", nil, []report.Outcome{report.StreamReset, report.StreamReset, report.StreamReset}, []string{"a", "b"}},
		{"a reattachment counts", nil, []report.Outcome{report.LostReused, report.Lost, report.Lost, report.Lost}, []string{"a", "a", "b"}},
		{"two reattachments", nil, []report.Outcome{report.LostReused, report.Lost, report.LostReused, report.Lost, report.Lost}, []string{"a", "a", "b", "b"}},
		{"the last one is made up for", []string{"a", "b"}, []report.Outcome{report.Lost, report.Lost, report.LostReused, report.Lost, report.Lost}, []string{"a", "b", "c", "c"}},
		{"only once", nil, []report.Outcome{report.LostReused, report.LostReused, report.LostReused, report.LostReused, report.LostReused}, []string{"a", "a", "b", "b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, 5, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				synctest.Wait()
				b.downAll(test.dead...)
				r := &Request{Safe: true}
				var got []string
				for _, o := range test.ends {
					a, err := b.p.Next(b.t.Context(), r)
					if err != nil {
						break
					}
					got = append(got, a.Member().URI.Host)
					a.Connected()
					a.Written()
					a.End(o, errReset)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("written to %v, want %v", got, test.want)
				}
				if why, _ := b.reason(r); why != report.ReasonSpent || r.Spent() != (r.writes >= MaxWrites) {
					t.Errorf("then it got %q, and Spent is %t after %d writes", why, r.Spent(), r.writes)
				}
				b.empty()
			})
		})
	}
}
