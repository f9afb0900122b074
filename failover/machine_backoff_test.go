// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// A request that gets no member may come back after one wait of the worker, in whole
// seconds and no sooner than in one.
func TestRetryAfterIsOneWaitOfTheWorker(t *testing.T) {
	for _, tc := range []struct {
		name   string
		active bool
		asked  bool // something is waited for
		delay  time.Duration
		want   time.Duration
	}{
		{"no wait", true, false, 0, time.Second},
		{"a short wait", true, false, 10 * time.Millisecond, time.Second},
		{"a second", true, false, time.Second, time.Second},
		{"a little more", true, false, time.Second + 1, 2 * time.Second},
		{"a long wait", true, false, 30 * time.Second, 30 * time.Second},
		{"a long wait that is cut short", true, true, 30 * time.Second, time.Second},
		{"a member serves", false, false, 30 * time.Second, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, 1, nil)
			b.worker.Active, b.worker.Delay, b.short = tc.active, tc.delay, tc.asked
			b.lastErr = report.Note(errRefused)
			e := b.unavailable(report.ReasonExhausted)
			if e.RetryAfter != tc.want || e.Last != errRefused {
				t.Errorf("after %v, last error %v; want %v", e.RetryAfter, e.Last, tc.want)
			}
			for _, reason := range []report.Reason{report.ReasonDrained, report.ReasonClosed} {
				if e := b.unavailable(reason); e.Last != nil {
					t.Errorf("%v has the last error %v", reason, e.Last)
				}
			}
		})
	}
}

// A reload ends the exhaustion that its limit does not know.
func TestAHigherLimitEndsExhaustion(t *testing.T) {
	for limit, want := range map[int]bool{-1: false, 0: true, 2: true, 3: true, 4: false} {
		b := newBench(t, 1, nil)
		b.reached = true
		b.worker.Active, b.worker.Failed, b.worker.Exhausted = true, 3, true
		b.opt.MaxReconnectAttempts = limit
		if b.relent(); b.worker.Exhausted != want {
			t.Errorf("after three passes with a limit of %d it is exhausted: %t", limit, b.worker.Exhausted)
		}
	}
}

// The limit is the one of the start until a backend has answered, where there is one.
func TestLimitOfPasses(t *testing.T) {
	for _, tc := range []struct {
		limit, startup         int
		set                    bool
		atStart, later         int
		singleFirst, singleNow bool // noFailover
	}{
		{-1, 0, false, -1, -1, false, false},
		{5, 0, false, 5, 5, false, false},
		{0, 0, false, 1, 0, true, true},
		{0, 3, true, 3, 0, false, true},
		{5, 0, true, 1, 5, false, false},
		{-1, 2, true, 2, -1, false, false},
	} {
		b := newBench(t, 1, nil)
		b.opt.MaxReconnectAttempts, b.opt.StartupMaxReconnectAttempts, b.opt.StartupMaxReconnectAttemptsSet = tc.limit, tc.startup, tc.set
		if b.limit() != tc.atStart || b.noFailover() != tc.singleFirst {
			t.Errorf("%+v: at the start %d, no failover: %t", tc, b.limit(), b.noFailover())
		}
		if b.reached = true; b.limit() != tc.later || b.noFailover() != tc.singleNow {
			t.Errorf("%+v: later %d, no failover: %t", tc, b.limit(), b.noFailover())
		}
	}
}

// A member that comes at run time is watched as closely as its own limit wants.
func TestNewMembersFitTheSamples(t *testing.T) {
	b := newBench(t, 1, nil)
	b.in(0, inStart{})
	u, soon := uris(2)[1], time.Second
	u.Options.MaxInactivityDuration = &soon
	b.in(0, inAdd{uris: []address.URI{u}})
	b.sampler.Wake(b.at)
	if got := b.sampler.Next.Sub(b.at); got != 50*time.Millisecond {
		t.Errorf("the counters are looked at every %v", got)
	}
}

// What a request may wait for a connection ends with its deadline or with the time that
// is left of the option timeout, whichever comes first; that time runs only while it has
// no connection, and where the view in effect has the option.
func TestWhenARequestHasToBeConnected(t *testing.T) {
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const timeout = 10 * time.Second
	for _, tc := range []struct {
		name           string
		option, clock  bool // the view has the option; the request's time was started
		since          time.Time
		spent          time.Duration
		deadline, want time.Time
	}{
		{"neither", false, false, time.Time{}, 0, time.Time{}, time.Time{}},
		{"deadline alone", false, false, time.Time{}, 0, at(time.Second), at(time.Second)},
		{"timeout alone", true, true, at(0), 0, time.Time{}, at(timeout)},
		{"some of it is spent", true, true, at(0), 4 * time.Second, time.Time{}, at(6 * time.Second)},
		{"all of it is spent", true, true, at(0), 12 * time.Second, time.Time{}, at(-2 * time.Second)},
		{"the deadline is first", true, true, at(0), 0, at(9 * time.Second), at(9 * time.Second)},
		{"the timeout is first", true, true, at(0), 0, at(11 * time.Second), at(timeout)},
		{"it has a connection", true, true, time.Time{}, time.Second, at(time.Hour), at(time.Hour)},
		{"a reload took the option away", false, true, at(0), 0, at(time.Hour), at(time.Hour)},
		{"a reload brought the option", true, false, time.Time{}, 0, at(time.Hour), at(time.Hour)},
	} {
		v := &view{clocked: tc.option, timeout: timeout}
		r := &Request{Deadline: tc.deadline}
		r.clocked, r.since, r.spent = tc.clock, tc.since, tc.spent
		if got := r.connectBy(v); !got.Equal(tc.want) {
			t.Errorf("%s: by %v, want %v", tc.name, got, tc.want)
		}
	}
}
