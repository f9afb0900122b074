// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
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
		{exitKilled, func(w *watched) { _ = syscall.Kill(w.Status().Pid, syscall.SIGKILL) }},
		{exitCrash, func(w *watched) { w.Tell("panic", nil) }},
		{exitHang, func(w *watched) { _ = syscall.Kill(w.Status().Pid, syscall.SIGSTOP) }},
		{exitStop, func(w *watched) { w.stop(control.Force) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			var exit *Exit
			var cut []account.Request
			w := watch(t, func(cfg *Config) {
				cfg.Cut = func(e *Exit, requests []account.Request) { exit, cut = e, requests }
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
		exit *Exit
		cut  []account.Request
	}
	lefts := make(chan left, 10)
	w := watch(t, func(cfg *Config) {
		cfg.Cut = func(e *Exit, requests []account.Request) { lefts <- left{e, requests} }
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
	if l := <-lefts; len(l.cut) != 1 || l.exit.Reason != exitKilled || l.exit.InFlight.InDoubt != 1 {
		t.Errorf("cut off are %+v by %+v", l.cut, l.exit)
	}
}

func TestSummary(t *testing.T) {
	died := time.Unix(1000, 0)
	request := func(method, path string, written bool) account.Request {
		return account.Request{Begun: died.Add(-time.Second), Method: method, Host: "a", Path: path, Unsafe: method == "POST", Written: written}
	}
	for _, c := range []struct {
		name string
		a    *account.Account
		err  error
		want *InFlight
	}{
		{"nothing", &account.Account{}, nil, nil},
		{"no account", nil, nil, nil},
		{"unreadable", nil, errors.New("of another version"), &InFlight{Unknown: "of another version"}},
		{
			"some", &account.Account{Requests: []account.Request{request("GET", "/", true), request("POST", "/x", true), request("POST", "/x", false)}}, nil,
			&InFlight{Requests: 3, Unsafe: 2, Written: 2, InDoubt: 1, Routes: []Route{
				{Method: "POST", Host: "a", Path: "/x", Requests: 2, Written: 1, InDoubt: 1, Oldest: 1},
				{Method: "GET", Host: "a", Path: "/", Requests: 1, Written: 1, Oldest: 1},
			}},
		},
		{
			"more than fit", &account.Account{More: 7, MoreUnsafe: 2, Torn: 1}, nil,
			&InFlight{Requests: 8, Unsafe: 2, Unlisted: 7, UnlistedUnsafe: 2, Torn: 1},
		},
	} {
		if got := summary(c.a, c.err, died); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	// However many paths there are, few routes are shown, and all requests are in one.
	for of, want := range map[string]string{"/order/%d": "/order/…", "/order%d": "…"} {
		a := new(account.Account)
		for i := range 3 * maxRoutes {
			a.Requests = append(a.Requests, request("GET", fmt.Sprintf(of, i), false))
		}
		f := summary(a, nil, died)
		n := 0
		for _, r := range f.Routes {
			n += r.Requests
		}
		if last := f.Routes[len(f.Routes)-1]; len(f.Routes) > maxRoutes || n != 3*maxRoutes || last.Path != want {
			t.Errorf("%d routes of %d requests, the last one is %+v", len(f.Routes), n, last)
		}
	}
}

// A brief exit has short texts, and the whole one keeps its own.
func TestBrief(t *testing.T) {
	var none *Exit
	if none.Brief() != nil {
		t.Error("nothing became something")
	}
	long := strings.Repeat("x", 2*maxBrief)
	e := &Exit{Code: 2, Stderr: long, Fault: "panic: x", Goroutine: "g", InFlight: &InFlight{Requests: 1, Routes: []Route{{}}}}
	if b := e.Brief(); b.Stderr != "panic: x\n\ng" || b.Goroutine != "" || b.Fault != e.Fault || b.InFlight.Routes != nil || b.InFlight.Requests != 1 {
		t.Errorf("%+v", b)
	}
	if e.Stderr != long || e.Goroutine != "g" || len(e.InFlight.Routes) != 1 {
		t.Errorf("the whole one is %+v", e)
	}
	if b := (&Exit{Stderr: "a\n" + long}).Brief(); len(b.Stderr) > maxBrief+3 {
		t.Errorf("%d bytes", len(b.Stderr))
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
	if st.LastExit == nil || st.LastExit.Reason != exitStartFailure || st.LastExit.Role != "candidate" {
		t.Errorf("the last exit is %+v", st.LastExit)
	}
	if st.LastFailure == nil || st.LastFailure.Code != 7 || st.LastFailure.Pid != first {
		t.Errorf("the last crash is %+v", st.LastFailure)
	}
}
