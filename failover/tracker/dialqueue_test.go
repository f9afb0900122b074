// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

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

// out lets so many go whose connections took that long; 0 for none.
func (c *dialCrowd) out(n int, took time.Duration) {
	for range n {
		c.queue.Leave(took)
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
			c.out(pending, time.Millisecond)
			synctest.Wait()
			n := len(c.entered)
			if n <= allowed || n > 2*allowed {
				t.Errorf("%d dial, after %d that were answered", n, allowed)
			}
			c.in(n)
			pending, allowed = n, n
		}
		// Failures end that: the next come only when most are through.
		c.out(pending-DialWidth, 0)
		c.in(0)
		for left := DialWidth; left > 0; left-- {
			c.out(1, 0)
			c.in(1)
		}
		for c.queue.pending > 0 {
			c.out(1, 0)
		}
	})
}

// A backend that was fast gets many dials only as long as it is: where one begins
// to drop packets, no more go out than to any other.
func TestMoreDialsAreAllowedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			took, after time.Duration
			want        int
		}{
			{time.Millisecond, 8 * time.Millisecond, DialWidth + 5},
			{time.Millisecond, 8*time.Millisecond + 1, DialWidth},
			{time.Second, time.Second, DialWidth + 5},
			{time.Second, time.Second + 1, DialWidth},
		} {
			c := newDialCrowd(t)
			c.come(t.Context(), DialWidth)
			c.in(DialWidth)
			c.out(DialWidth, tc.took) // the last nine no longer made use of the width
			time.Sleep(tc.after)
			c.come(t.Context(), 100)
			if c.in(tc.want); t.Failed() {
				t.Logf("%s after one that took %s", tc.after, tc.took)
			}
			for c.queue.pending > 0 {
				c.out(1, 0)
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
			c.out(4, time.Millisecond)
		}
		c.come(t.Context(), 100)
		c.in(DialWidth)
		for c.queue.pending > 0 {
			c.out(1, 0)
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
		c.out(5, 0)
		c.in(5)
		c.out(DialWidth, 0)
		if c.queue.pending != 0 || len(c.queue.waiting) != 0 {
			t.Errorf("%d pending, %d waiting", c.queue.pending, len(c.queue.waiting))
		}
	})
}
