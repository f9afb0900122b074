// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// jam is a queue in which whatever comes waits until the test lets it go.
type jam struct {
	*Queue
	*service
}

func newJam(t *testing.T) *jam {
	s := &service{current: parse(t, `{"a":0}`), rooms: make(chan struct{})}
	return &jam{NewQueue(s), s}
}

// leave makes a request whose sender leaves while it waits. The answer is nil if it was
// taken.
func (j *jam) leave(r Request) error {
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error)
	go func() { answer <- j.Do(ctx, r) }()
	synctest.Wait()
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// refuses wants a refusal that says that there is no room now, and how much waits.
func (j *jam) refuses(t *testing.T, r Request, says string) {
	t.Helper()
	before := j.Waiting()
	err := j.leave(r)
	refusal, ok := errors.AsType[*Error](err)
	if !errors.Is(err, ErrFull) || !ok || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), says) {
		t.Errorf("the answer is %v, want %q with %q and status 503", err, ErrFull, says)
	}
	if n := j.Waiting(); n != before {
		t.Errorf("%d requests wait behind the refusal, %d before", n, before)
	}
}

// TestQueueHasABound: a request beyond what may wait is refused and leaves no trace, also
// where nobody is left who waits; those before it are made, and then there is room again.
func TestQueueHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		for n := range maxWaiting {
			if err := j.leave(patch("a", "1")); err != nil {
				t.Fatalf("request %d is refused: %v", n+1, err)
			}
		}
		j.refuses(t, patch("a", "2"), "1024 with 1024 bytes")
		j.refuses(t, Request{Whole: parse(t, `{"a":2}`)}, "1024 with 1024 bytes")
		close(j.rooms)
		synctest.Wait()
		if got := string(j.current.JSON()); got != `{"a":1}` || j.loads != 1 {
			t.Errorf("the document is %s after %d loads, want that of those that were taken, in one", got, j.loads)
		}
		if err := j.Do(t.Context(), patch("a", "3")); err != nil || string(j.current.JSON()) != `{"a":3}` {
			t.Errorf("with room again the answer is %v, the document %s", err, j.current.JSON())
		}
	})
}

// TestQueueHasABoundOfBytes: what waits brings at most so many bytes, unless it is one
// request alone.
func TestQueueHasABoundOfBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := make([]byte, maxWaitingBytes+1) // no JSON, so that it is soon found to be none
		bring := func(n int) Request {
			return Request{Change: &Change{Method: http.MethodPost, Path: "/config/a", Body: all[:n]}}
		}
		j := newJam(t)
		if err := j.leave(bring(len(all))); err != nil {
			t.Fatalf("one alone is refused: %v", err)
		}
		j.refuses(t, bring(1), "1 with 268435457 bytes")
		j.rooms <- struct{}{}
		synctest.Wait()

		for n := range 2 {
			if err := j.leave(bring(maxWaitingBytes / 2)); err != nil {
				t.Fatalf("request %d of half of it is refused: %v", n+1, err)
			}
		}
		j.refuses(t, bring(1), "2 with 268435456 bytes")
		j.refuses(t, Request{Whole: parse(t, `{"a":2}`)}, "2 with 268435456 bytes")
		if err := j.leave(bring(0)); err != nil {
			t.Errorf("one that brings nothing is refused: %v", err)
		}
		close(j.rooms)
		synctest.Wait()
		if n := j.bytes; n != 0 {
			t.Errorf("%d bytes wait in the end", n)
		}
	})
}
