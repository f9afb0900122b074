// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// dialCrowd is many requests that dial one backend.
type dialCrowd struct {
	t       *testing.T
	queue   DialQueue
	entered chan error
}

func (c *dialCrowd) come(ctx context.Context, n int) {
	for range n {
		go func() { c.entered <- c.queue.Enter(ctx) }()
	}
}

// in counts those who came in since the last call, and wants so many.
func (c *dialCrowd) in(want int) {
	c.t.Helper()
	synctest.Wait()
	n := len(c.entered)
	for range n {
		if err := <-c.entered; err != nil {
			c.t.Errorf("not let in: %v", err)
		}
	}
	if n != want {
		c.t.Errorf("%d dial, want %d", n, want)
	}
}

func (c *dialCrowd) out(n int, made bool) {
	for range n {
		c.queue.Leave(made)
	}
}

func newDialCrowd(t *testing.T) *dialCrowd {
	return &dialCrowd{t: t, entered: make(chan error, 10000)}
}

func TestPendingDialsAreFewUntilTheBackendAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newDialCrowd(t)
		c.come(t.Context(), 1000)
		c.in(DialWidth)
		time.Sleep(time.Minute)
		c.in(0)
		// From round trip to round trip there are about twice as many.
		pending, allowed := DialWidth, DialWidth
		for range 3 {
			c.out(pending, true)
			synctest.Wait()
			n := len(c.entered)
			if n <= allowed || n > 2*allowed {
				t.Errorf("%d dial, after %d that were answered", n, allowed)
			}
			c.in(n)
			pending, allowed = n, n
		}
		// Failures end that: the next come only when most are through.
		c.out(pending-DialWidth, false)
		c.in(0)
		for left := DialWidth; left > 0; left-- {
			c.out(1, false)
			c.in(1)
		}
		for c.queue.pending > 0 {
			c.out(1, false)
		}
	})
}

func TestMoreDialsAreAllowedForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			after time.Duration
			want  int
		}{{dialMemory, DialWidth + 5}, {dialMemory + 1, DialWidth}} {
			c := newDialCrowd(t)
			c.come(t.Context(), DialWidth)
			c.in(DialWidth)
			c.out(DialWidth, true) // the last nine no longer made use of the width
			time.Sleep(tc.after)
			c.come(t.Context(), 100)
			if c.in(tc.want); t.Failed() {
				t.Logf("after %s", tc.after)
			}
			for c.queue.pending > 0 {
				c.out(1, false)
			}
		}
	})
}

func TestFewDialsWidenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newDialCrowd(t)
		for range 500 {
			c.come(t.Context(), 4)
			c.in(4)
			c.out(4, true)
		}
		c.come(t.Context(), 100)
		c.in(DialWidth)
		for c.queue.pending > 0 {
			c.out(1, false)
		}
	})
}

func TestADialThatIsGivenUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newDialCrowd(t)
		c.come(t.Context(), DialWidth)
		c.in(DialWidth)
		gone, leave := context.WithCancel(t.Context())
		c.come(gone, 30)
		synctest.Wait()
		c.come(t.Context(), 5)
		c.in(0)
		leave()
		synctest.Wait()
		for range 30 {
			if err := <-c.entered; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		c.out(5, false)
		c.in(5)
		c.out(DialWidth, false)
		if c.queue.pending != 0 || len(c.queue.waiting) != 0 {
			t.Errorf("%d pending, %d waiting", c.queue.pending, len(c.queue.waiting))
		}
	})
}
