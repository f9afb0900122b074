// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

func maxRequests(n int) func(*Config) {
	return func(c *Config) { c.Options.Nested.MaxRequests = &n }
}

func TestFullMembersArePassedOverWithoutMovingTheClient(t *testing.T) {
	inBubble(t, 2, maxRequests(2), func(b *stage) {
		b.p.Start()
		b.expect("a")
		held := []*Request{{}, {}, {}}
		for i, want := range []string{"a", "a", "b"} {
			if got := b.pick(held[i]); got != want {
				t.Fatalf("request %d: got %s, want %s", i, got, want)
			}
			held[i].at.Connected()
			held[i].at.End(report.Answered, nil)
		}
		if to := held[2].at.MovedTo(); to != "" {
			t.Errorf("the client was moved to %s", to)
		}
		held[0].at.Done()
		b.expect("a")
		held[1].at.Done()
		held[2].at.Done()
		b.empty()
	})
}

func TestWaitingForAPlace(t *testing.T) {
	inBubble(t, 2, maxRequests(1), func(b *stage) {
		b.p.Start()
		b.expect("a")
		first, second := &Request{}, &Request{}
		b.pick(first)
		b.pick(second)
		one := b.waiting(b.t.Context(), &Request{})
		two := b.waiting(b.t.Context(), &Request{})
		time.Sleep(time.Minute)
		if s := b.p.Status(); s.FailedPasses != 0 || s.State != "connected" || s.Waiting != 2 {
			t.Errorf("status is %+v", s)
		}
		select {
		case <-one:
			t.Fatal("got a place that is not there")
		default:
		}
		second.at.End(report.Neutral, nil)
		start := time.Now()
		<-one
		<-two
		if took := time.Since(start); took > 0 {
			t.Errorf("the place was taken after %v", took)
		}
		first.at.End(report.Neutral, nil)
		b.empty()
	})
}

// checks is what a carrier says of members.
type checks struct {
	mu   sync.Mutex
	says map[string]report.Availability
}

func (c *checks) Check(m *Member) report.Availability { return c.of(m.URI.Host) }

func (c *checks) of(host string) report.Availability {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.says[host]
}

func (c *checks) set(host string, a report.Availability) *checks {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.says == nil {
		c.says = make(map[string]report.Availability)
	}
	c.says[host] = a
	return c
}

func TestCheckerIsHeeded(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		says := new(checks).set("a", report.Full)
		send := func() (string, string) {
			r := &Request{Checker: says}
			m, err := b.send(r)
			if err != nil {
				t.Fatal(err)
			}
			return m.URI.Host, r.at.MovedTo()
		}
		if host, to := send(); host != "b" || to != "" {
			t.Errorf("a full: got %s, moved to %s", host, to)
		}
		says.set("a", report.Unhealthy)
		if host, to := send(); host != "b" || to != "http://b:80" {
			t.Errorf("a unhealthy: got %s, moved to %s", host, to)
		}
		says.set("a", report.Available)
		if host, _ := send(); host != "b" {
			t.Errorf("a healthy again: clients that are one stay, got %s", host)
		}
		says.set("a", report.Foreign).set("b", report.Foreign)
		if host, _ := send(); host != "c" {
			t.Errorf("only c can be reached: got %s", host)
		}
		// What only the carrier knows is asked again while a request waits.
		says.set("c", report.Unhealthy)
		done := b.waiting(b.t.Context(), &Request{Checker: says})
		time.Sleep(time.Second)
		says.set("b", report.Available)
		start := time.Now()
		if err := <-done; err != nil || time.Since(start) > askEvery {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// A request for which no member can be reached has nothing to wait for, also when
// that comes about while it waits; where one may come back it has.
func TestNothingToWaitForWithoutAMemberInReach(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := &Request{Checker: new(checks).set("a", report.Foreign).set("b", report.Foreign)}
		if why, took := b.reason(r); why != report.ReasonForeign || took > 0 {
			t.Errorf("got %v after %v", why, took)
		}
		b.downAll("b")
		b.lose("b")
		says := new(checks).set("a", report.Foreign)
		done := b.waiting(b.t.Context(), &Request{Checker: says})
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("got %v while b may come back", err)
		default:
		}
		if _, err := b.p.RemoveURIs(uris(2)[1:]); err != nil {
			t.Fatal(err)
		}
		var none *report.UnavailableError
		if err := <-done; !errors.As(err, &none) || none.Reason != report.ReasonForeign {
			t.Errorf("got %v when b was gone", err)
		}
	})
}

// One large client behind one address must not sink one backend.
func TestOverflow(t *testing.T) {
	change := func(c *Config) { c.Options.Randomize = true }
	inBubble(t, 4, change, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		on := map[string]int{}
		var all []*Request
		for range 400 {
			r := &Request{Key: 42, Keyed: true}
			on[b.pick(r)]++
			all = append(all, r)
		}
		most := 0
		for _, n := range on {
			most = max(most, n)
		}
		// Twice the mean of what was there, and one of those that were let through.
		if len(on) < 2 || most > 2*400/4+2 {
			t.Errorf("one client is on %v", on)
		}
		for _, r := range all {
			r.at.Connected()
			r.at.End(report.Answered, nil)
			if to := r.at.MovedTo(); to != "" {
				t.Fatalf("the client was moved to %s", to)
			}
			r.at.Done()
		}
		b.empty()
	})
	// An ordered list has a primary, and that is meant to have all.
	inBubble(t, 3, func(c *Config) { c.Options.Affinity.Kind = address.AffinityClientIP }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		for range 400 {
			r := &Request{Key: 42, Keyed: true}
			if host := b.pick(r); host != "a" {
				t.Fatalf("got %s", host)
			}
		}
	})
}

// A member that only the carrier's checks refuse comes back like one that was down.
func TestUnhealthyPriorityMember(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		says := new(checks)
		send := func() string {
			m, err := b.send(&Request{Safe: true, Checker: says})
			if err != nil {
				t.Fatal(err)
			}
			return m.URI.Host
		}
		b.p.Start()
		synctest.Wait()
		for i, step := range []struct {
			says report.Availability
			want string
			wait time.Duration
		}{
			{report.Available, "a", 0},
			{report.Unhealthy, "b", 20 * time.Second},
			{report.Unhealthy, "b", 0},
			{report.Available, "a", 0}, // it has answered pings for long enough: the trial
			{report.Available, "a", 0},
			{report.Unhealthy, "b", 100 * time.Millisecond},
			{report.Available, "b", 5 * time.Second}, // not proved again yet
			{report.Available, "a", 0},
		} {
			says.set("a", step.says)
			if got := send(); got != step.want {
				t.Errorf("step %d: got %s, want %s", i, got, step.want)
			}
			time.Sleep(step.wait)
		}
	})
}

func TestClientsThatAreOneMoveTogetherFromWhereTheyAre(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		says := new(checks)
		expect := func(want string) {
			b.t.Helper()
			m, err := b.send(&Request{Safe: true, Checker: says})
			if err != nil || m.URI.Host != want {
				b.t.Fatalf("got %v, error %v, want %s", m, err, want)
			}
		}
		b.p.Start()
		synctest.Wait()
		b.downAll("a")
		expect("b")
		says.set("b", report.Unhealthy)
		expect("c")
		says.set("b", report.Available)
		expect("c")
	})
}

// With thousands waiting, a place that becomes free costs no walk over them.
func TestManyWaitForAPlace(t *testing.T) {
	inBubble(t, 2, maxRequests(1), func(b *stage) {
		b.p.Start()
		b.expect("a")
		first, second := &Request{}, &Request{}
		b.pick(first)
		b.pick(second)
		var says asking
		var left []<-chan error
		for range 300 {
			left = append(left, b.waiting(b.t.Context(), &Request{Checker: &says}))
		}
		says.n.Store(0)
		first.at.End(report.Neutral, nil)
		second.at.End(report.Neutral, nil)
		for _, done := range left {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if asked := says.n.Load(); asked > 300*10 {
			t.Errorf("the checker was asked %d times for 300 requests", asked)
		}
		b.empty()
	})
}

// asking counts how often it is asked.
type asking struct{ n atomic.Int64 }

func (a *asking) Check(*Member) report.Availability { a.n.Add(1); return report.Available }
