// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// breaking is a carrier's check that panics once it is told to, as a module of a
// user may: for a, and for b as long as it says nothing else.
type breaking struct {
	broken, healed atomic.Bool
}

func (c *breaking) Check(m *Member) report.Availability {
	switch {
	case !c.broken.Load():
		return report.Full
	case m.URI.Host == "a" || !c.healed.Load():
		panic("no opinion")
	}
	return report.Available
}

// What panics while a request waits is asked in the pool's goroutine: neither that
// ends, nor the wait of the request.
func TestCheckThatPanics(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		says := new(breaking)
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
		defer cancel()
		r := &Request{Checker: says}
		done := b.waiting(ctx, r)
		says.broken.Store(true)
		time.Sleep(10 * time.Second)
		select {
		case err := <-done:
			t.Fatalf("got %v while no member can be had", err)
		default:
		}
		says.healed.Store(true)
		if err := <-done; err != nil || r.at.Member().URI.Host != "b" {
			t.Errorf("got %v, %s", err, r.at.Member().URI.Host)
		}
	})
}

// mined is a carrier that panics when it pings.
type mined struct{ Carrier }

func (mined) Ping(context.Context, *Member) report.PingResult { panic("mined") }

// A ping that panics says nothing of the member, and ends nothing.
func TestPingThatPanics(t *testing.T) {
	if r := guardedPing(t.Context(), mined{}, nil); r.Err == nil || !r.Neutral {
		t.Errorf("got %+v", r)
	}
}
