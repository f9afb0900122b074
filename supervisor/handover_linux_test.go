// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// TestHandOverThatIsCancelled: a child that stood still goes on as before: it is watched,
// told things and heard, and what has died meanwhile is started again.
func TestHandOverThatIsCancelled(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{Listen: []string{"tcp/127.0.0.1:0"}}, func(s *Spec) { s.Watchdog = time.Second }))
	first := w.Status().Pid
	for range 3 {
		h, cancel, err := w.HandOver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Processes) != 1 || h.Processes[0].Pid != first || len(h.Sockets) != 1 || len(h.FDs()) != 4 {
			t.Errorf("handed over are %+v", h)
		}
		if err := w.Stop(t.Context(), control.Immediate); !errors.Is(err, ErrHandingOver) {
			t.Errorf("meanwhile a stop returns %v", err)
		}
		if _, _, err := w.HandOver(t.Context()); !errors.Is(err, ErrHandingOver) {
			t.Errorf("meanwhile another one returns %v", err)
		}
		<-time.After(1500 * time.Millisecond) // longer than the watchdog waits
		cancel()
		for _, fd := range h.FDs() {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d would be inherited", fd)
			}
		}
	}
	<-time.After(1500 * time.Millisecond)
	if st := w.Status(); st.Pid != first || st.Restarts != 0 {
		t.Errorf("it is %+v", st)
	}
	_, cancel, err := w.HandOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-time.After(500 * time.Millisecond)
	cancel()
	w.other(first)
	if st := w.Status(); st.LastExit == nil || st.LastExit.Reason != exits.Killed || st.Restarts != 1 {
		t.Errorf("after its death it is %+v", st)
	}
}

// TestHandOverThatGivesUp: nobody waits any more when the child stands still; it goes on.
func TestHandOverThatGivesUp(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	busy := make(chan frozen)
	w.put(inShow{busy}) // which the supervisor's goroutine cannot answer yet, nor what comes after it
	before := w.token.Load()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, _, err := w.HandOver(ctx)
		failed <- err
	}()
	for w.token.Load() == before || len(w.inputs) == 0 { // the child's heartbeats come in between
		runtime.Gosched()
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("a hand-over that is given up returns %v", err)
	}
	<-busy
	if err := w.Replace(t.Context(), nil); err != nil {
		t.Errorf("replacing the child after that: %v", err)
	}
}
