// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// descriptors are this process's open ones, by what they are.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		// The directory that is being read is gone by now.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			out = append(out, target)
		}
	}
	slices.Sort(out)
	return out
}

// zombies are this process's children that nobody waited for.
func zombies(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(after, &state, &parent); err == nil && parent == os.Getpid() && state == "Z" {
			out = append(out, string(stat))
		}
	}
	return out
}

// Hundreds of restarts, by crash, replacement and promotion, of a child and of another
// program, leave no process, no descriptor and no goroutine behind.
func TestNothingLeaksOverRestarts(t *testing.T) {
	restarts := 200
	if testing.Short() {
		restarts = 20
	}
	child, other := watch(t), watch(t)
	child.start(childSpec(t, behaviour{Listen: []string{"tcp/127.0.0.1:0", "udp/127.0.0.1:0"}}, func(s *Spec) {
		s.Standby = 1
		s.Restart.Delay, s.Restart.MaxDelay = time.Millisecond, time.Millisecond
	}))
	// It says that it is ready, because a replacement cannot be seen to accept, and would
	// have to live for a second each time.
	other.start(programSpec(t, program{Accept: 1, Notify: []string{"READY=1"}}, func(s *Spec) {
		s.Listen = []string{"tcp/127.0.0.1:0"}
		s.Restart.Delay, s.Restart.MaxDelay = time.Millisecond, time.Millisecond
	}))
	settled := func() {
		t.Helper()
		child.standby(child.Status().Pid)
		for _, w := range []*watched{child, other} {
			until(t, "the end of all but those that serve", func() error {
				st := w.Status()
				for _, p := range st.Processes {
					if p.State != "active" && p.State != "standby" {
						return fmt.Errorf("%+v", st)
					}
				}
				if st.State != "active" {
					return fmt.Errorf("%+v", st)
				}
				return nil
			})
		}
	}
	settled()
	before := descriptors(t)
	goroutines := goleak.IgnoreCurrent()
	for i := range restarts {
		ctx := t.Context()
		switch i % 4 {
		case 0:
			pid := child.Status().Pid
			child.standby(pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			child.other(pid)
		case 1:
			pid := other.Status().Pid
			_ = syscall.Kill(pid, syscall.SIGKILL)
			other.other(pid)
		case 2:
			if err := child.Replace(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if err := other.Replace(ctx, nil); err != nil {
				t.Fatal(err)
			}
		case 3:
			child.standby(child.Status().Pid)
			if err := child.Promote(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	settled()
	until(t, "as few descriptors as before", func() error {
		if after := descriptors(t); len(after) > len(before) {
			return fmt.Errorf("%d before, %d after:\n%s\n\n%s", len(before), len(after), strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		return nil
	})
	if z := zombies(t); len(z) > 0 {
		t.Errorf("zombies: %s", strings.Join(z, ""))
	}
	if n := child.Status().Stats.Starts; n < uint64(restarts/2) {
		t.Errorf("the child was started only %d times", n)
	}
	child.Close()
	other.Close()
	goleak.VerifyNone(t, goroutines)
	if entries, err := os.ReadDir(other.dir); err != nil || len(entries) > 0 {
		t.Errorf("private sockets are left: %v (%v)", entries, err)
	}
}
