// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// What a process had in progress is handed on when it has ended, however it did, and
// before its end is told.
func TestRequestsThatAreCutOff(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-time.Minute).Truncate(time.Second)
	requests := []account.Request{
		{Begun: begun, Method: "POST", Host: "a.test", Path: "/order", ID: "1", Pool: "p", Backend: "http://b", Unsafe: true, Written: true},
		{Begun: begun, Method: "POST", Host: "a.test", Path: "/order", ID: "2", Pool: "p", Backend: "http://b", Unsafe: true},
		{Begun: begun, Method: "GET", Host: "a.test", Path: "/", ID: "3", Written: true},
	}
	told, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason string
		end    func(w *watched)
	}{
		{exits.Killed, func(w *watched) { _ = syscall.Kill(w.Status().Pid, syscall.SIGKILL) }},
		{exits.Crash, func(w *watched) { w.Tell("panic", nil) }},
		{exits.Hang, func(w *watched) { _ = syscall.Kill(w.Status().Pid, syscall.SIGSTOP) }},
		{exits.Stop, func(w *watched) { w.stop(control.Force) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			var exit *exits.Exit
			var cut []account.Request
			w := watch(t, func(cfg *Config) {
				cfg.Cut = func(e *exits.Exit, requests []account.Request) { exit, cut = e, requests }
			})
			w.start(childSpec(t, behaviour{}, func(s *Spec) { s.Watchdog = 2 * time.Second }))
			w.Tell("requests", told)
			var heard []account.Request
			w.report("requests", &heard)
			c.end(w)
			w.event("broker_child_exited")
			if exit == nil || exit != w.Status().LastExit || exit.Reason != c.reason {
				t.Fatalf("cut off by %+v", exit)
			}
			slices.SortFunc(cut, func(a, b account.Request) int { return strings.Compare(a.ID, b.ID) })
			if !reflect.DeepEqual(cut, requests) {
				t.Errorf("cut off are %+v\nwant %+v", cut, requests)
			}
			if f := exit.InFlight; f.Requests != 3 || f.Unsafe != 2 || f.Written != 2 || f.InDoubt != 1 || len(f.Routes) != 2 || f.Routes[0].Oldest < 60 {
				t.Errorf("in flight: %+v", f)
			}
			if exit.Memory == 0 || exit.PeakMemory < exit.Memory || exit.Uptime == 0 || exit.Role != "active" {
				t.Errorf("the exit is %+v", exit)
			}
		})
	}
}

// A process that dies while its child is handed over leaves what it had in progress to
// this program, once, whether the next one takes over or not.
func TestRequestsThatAreCutOffDuringAHandOver(t *testing.T) {
	t.Parallel()
	type left struct {
		exit *exits.Exit
		cut  []account.Request
	}
	lefts := make(chan left, 10)
	w := watch(t, func(cfg *Config) {
		cfg.Cut = func(e *exits.Exit, requests []account.Request) { lefts <- left{e, requests} }
	})
	w.start(childSpec(t, behaviour{}))
	w.Tell("requests", []byte(`[{"Method":"POST","Unsafe":true,"Written":true}]`))
	var heard []account.Request
	w.report("requests", &heard)
	h, cancel, err := w.HandOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(h.Processes[0].Page)
	if err != nil {
		t.Fatal(err)
	}
	page := os.NewFile(uintptr(fd), "page")
	defer page.Close()
	if a, err := account.Read(page); err != nil || len(a.Requests) != 1 {
		t.Errorf("the next program would read %+v (%v)", a, err)
	}
	pid := w.Status().Pid
	_ = syscall.Kill(pid, syscall.SIGKILL)
	until(t, "its end", func() error {
		if alive(pid) {
			return errors.New("it lives")
		}
		return nil
	})
	cancel()
	w.event("broker_child_exited")
	w.event("broker_child_ready")
	if len(lefts) != 1 {
		t.Fatalf("told %d times", len(lefts))
	}
	if l := <-lefts; len(l.cut) != 1 || l.exit.Reason != exits.Killed || l.exit.InFlight.InDoubt != 1 {
		t.Errorf("cut off are %+v by %+v", l.cut, l.exit)
	}
}

// TestReplacementThatFailsHidesNoCrash: what is known of a crash is there after a change
// that could not be made, which is often the first thing that is tried.
func TestReplacementThatFailsHidesNoCrash(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	first := w.Status().Pid
	w.Tell("exit", []byte("7"))
	w.other(first)
	if err := w.Replace(t.Context(), childSpec(t, behaviour{Fails: "no such module"})); err == nil {
		t.Error("a replacement that fails is no error")
	}
	st := w.Status()
	if st.LastExit == nil || st.LastExit.Reason != exits.StartFailure || st.LastExit.Role != "candidate" {
		t.Errorf("the last exit is %+v", st.LastExit)
	}
	if st.LastFailure == nil || st.LastFailure.Code != 7 || st.LastFailure.Pid != first {
		t.Errorf("the last crash is %+v", st.LastFailure)
	}
}
