// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// What the result of a ping says depends on the state of the member and on why it was
// pinged: no answer is a failure where a dial or a loss has to be explained, and none
// where requests are to decide.
func TestWhatAPingSays(t *testing.T) {
	results := map[string]report.PingResult{
		"answered":   {Status: 200},
		"refused":    {Err: errRefused, Refused: true},
		"late":       {Err: context.DeadlineExceeded},                   // nor was there a connection
		"unanswered": {Err: context.DeadlineExceeded, Unanswered: true}, // on a connection
		"neutral":    {Err: errRefused, Neutral: true},
	}
	kinds := map[string]pingKind{"probe": pingProbe, "watch": pingWatch, "verify": pingVerify}
	for _, tc := range []struct{ was, kind, result, want string }{
		{"up", "probe", "answered", "up"},
		{"up", "probe", "refused", "down"},
		{"up", "probe", "late", "up"},
		{"up", "probe", "unanswered", "up"},
		{"up", "probe", "neutral", "up"},
		{"up", "watch", "refused", "down"},
		{"up", "watch", "late", "up"},
		{"up", "verify", "late", "down"},
		{"up", "verify", "unanswered", "up"},

		{"unseen", "probe", "answered", "up"},
		{"unseen", "probe", "refused", "down"},
		{"unseen", "probe", "late", "down"},
		{"unseen", "probe", "unanswered", "up"},
		{"unseen", "probe", "neutral", "up"},

		{"suspect", "probe", "answered", "up"},
		{"suspect", "probe", "refused", "down"},
		{"suspect", "probe", "late", "down"},
		{"suspect", "probe", "unanswered", "up"},
		{"suspect", "probe", "neutral", "suspect"},
		{"suspect", "watch", "late", "suspect"},
		{"suspect", "watch", "unanswered", "suspect"},
		{"suspect", "verify", "late", "down"},

		{"trial", "probe", "answered", "trial"},
		{"trial", "probe", "refused", "down"},
		{"trial", "probe", "late", "down"},
		{"trial", "probe", "unanswered", "down"},
		{"trial", "probe", "neutral", "trial"},
		{"trial", "watch", "unanswered", "trial"},
		{"trial", "verify", "unanswered", "down"},

		{"down", "probe", "answered", "trial"},
		{"down", "probe", "refused", "down"},
		{"down", "probe", "late", "down"},
		{"down", "probe", "unanswered", "down"},
		{"down", "probe", "neutral", "down"},
		{"down", "watch", "late", "down"},
		{"down", "watch", "answered", "trial"},
	} {
		for _, stale := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %s %s, stale %t", tc.was, tc.kind, tc.result, stale), func(t *testing.T) {
				b := newBench(t, 2, nil)
				m := b.memberThat(tc.was)
				before, step := m.state, m.step
				in := inPing{m: m, kind: kinds[tc.kind], epoch: m.epoch, asked: m.asked, result: results[tc.result], failure: report.Note(results[tc.result].Err)}
				want := tc.want
				if stale {
					m.epoch++
					want = before.String()
				}
				m.pings, m.inPass = 1, true
				b.in(time.Millisecond, in)
				if m.state.String() != want || m.inPass {
					t.Errorf("it is %s, want %s; the pass waits for it: %t", m.state, want, m.inPass)
				}
				// Each failure that counts makes the next wait longer.
				if want == "down" && !stale && tc.result != "neutral" && tc.kind != "watch" || before != stateDown && m.state == stateDown {
					step++
				}
				if m.step != step {
					t.Errorf("%d failures are counted, want %d", m.step, step)
				}
			})
		}
	}
}

// memberThat makes the first member be in that state. The other one is up.
func (b *bench) memberThat(is string) *Member {
	b.in(0, inStart{})
	m := b.members[0]
	b.answers(m, nil)
	b.answers(b.members[1], nil)
	switch is {
	case "unseen":
		m.seen = false
	case "suspect":
		b.set(m, stateSuspect)
	case "trial":
		b.set(m, stateTrial)
	case "down":
		b.fail(m, "dial", report.Note(errRefused))
	}
	b.in(time.Hour, inNothing{})
	return m
}

// A member that is down is probed at longer and longer intervals, while another one
// serves; a ping that says nothing lengthens none.
func TestProbesOfOneThatIsDown(t *testing.T) {
	b := newBench(t, 2, func(c *Config) { c.Options.MaxReconnectDelay = 50 * time.Millisecond })
	b.in(0, inStart{})
	m := b.members[0]
	b.answers(m, nil)
	b.answers(b.members[1], nil)
	b.in(0, inEnd{m: m, outcome: report.DialFailed, epoch: m.epoch, failure: report.Note(errRefused)})
	probe := func(wait time.Duration, result report.PingResult) {
		t.Helper()
		if got := b.wakeAt().Sub(b.at); got != wait {
			t.Errorf("the next probe is %v away, want %v", got, wait)
		}
		b.in(wait-1, inTick{})
		if got := b.wantsPinged(); len(got) != 0 {
			t.Errorf("%v are pinged too soon", got)
		}
		b.in(1, inTick{})
		if got := b.wantsPinged(); !slices.Equal(got, []string{m.URI.Host}) {
			t.Errorf("%v are pinged", got)
		}
		b.in(0, inPing{m: m, epoch: m.epoch, asked: m.asked, result: result, failure: report.Note(result.Err)})
	}
	refused := report.PingResult{Err: errRefused, Refused: true}
	probe(10*time.Millisecond, refused)
	probe(20*time.Millisecond, report.PingResult{Err: errRefused, Neutral: true})
	probe(20*time.Millisecond, refused)
	probe(40*time.Millisecond, refused)
	probe(50*time.Millisecond, report.PingResult{Status: 200})
	// It came back: what it fails next counts on, until it answers a request.
	if m.state != stateTrial || b.wakeAt().Sub(b.at) != time.Second {
		t.Errorf("it is %v, the next ping %v away", m.state, b.wakeAt().Sub(b.at))
	}
	b.in(0, inEnd{m: m, outcome: report.DialFailed, epoch: m.epoch, failure: report.Note(errRefused)})
	probe(50*time.Millisecond, report.PingResult{Status: 200})
	b.in(0, inEnd{m: m, outcome: report.Answered, epoch: m.epoch, status: 200})
	b.in(0, inEnd{m: m, outcome: report.DialFailed, epoch: m.epoch, failure: report.Note(errRefused)})
	probe(10*time.Millisecond, refused)
}

// Something new may help those that are down: they are probed at once, and the others
// when they would have been.
func TestNewsProbesThoseThatAreDown(t *testing.T) {
	b := newBench(t, 3, nil)
	b.in(0, inStart{})
	for _, m := range b.members {
		b.answers(m, nil)
	}
	down, trial := b.members[1], b.members[2]
	b.fail(down, "dial", report.Note(errRefused))
	b.set(trial, stateTrial)
	for _, m := range []*Member{down, trial} {
		m.base, m.delay = b.at, 30*time.Second
	}
	b.in(time.Second, inAdd{uris: uris(4)[3:]})
	if got := b.wantsPinged(); !slices.Equal(got, []string{"b", "d"}) {
		t.Errorf("%v are pinged, want the one that is down and the new one", got)
	}
	if due, ok := b.probeDue(trial); !ok || due.Sub(b.at) != 29*time.Second {
		t.Errorf("the one on trial is probed after %v (%t)", due.Sub(b.at), ok)
	}
}

// The counters are looked at as often as the most impatient member wants it.
func TestSamplesFitTheShortestInactivity(t *testing.T) {
	for _, tc := range []struct{ first, second, want time.Duration }{
		{0, 0, 100 * time.Millisecond},
		{time.Second, 0, 50 * time.Millisecond},
		{0, time.Second, 50 * time.Millisecond},
		{time.Second, 1500 * time.Millisecond, 50 * time.Millisecond},
		{1500 * time.Millisecond, time.Second, 50 * time.Millisecond},
	} {
		b := newBench(t, 2, nil)
		b.members[0].limits.MaxInactivityDuration, b.members[1].limits.MaxInactivityDuration = tc.first, tc.second
		b.fitSamples()
		b.sampler.Wake(b.at)
		if got := b.sampler.Next.Sub(b.at); got != tc.want {
			t.Errorf("%v and %v: every %v, want %v", tc.first, tc.second, got, tc.want)
		}
	}
}
