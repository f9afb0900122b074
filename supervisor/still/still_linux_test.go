// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package still

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// watched is for how long processes are watched here. A shorter time than in use: what is
// found of one that stands still does not depend on it.
const watched = 100 * time.Millisecond

// nothing wakes nobody.
func nothing() bool { return true }

// run starts a program that ends with the test, and waits until it sleeps, unless it never
// does.
func run(t *testing.T, sleeps bool, name string, args ...string) (*os.Process, io.Writer) {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); sleeps && Watch(cmd.Process.Pid, watched, nothing) != Asleep; {
		if time.Now().After(end) {
			t.Fatalf("%s does not come to rest: %+v", name, threadsOf(cmd.Process.Pid))
		}
	}
	return cmd.Process, in
}

// Only what neither runs nor wants to stands still.
func TestWatch(t *testing.T) {
	t.Parallel()
	t.Run("one that reads what it is given", func(t *testing.T) {
		t.Parallel()
		p, in := run(t, true, "cat")
		for range 20 {
			if got := Watch(p.Pid, watched, func() bool { _, err := io.WriteString(in, "x"); return err == nil }); got != Lives {
				t.Errorf("found %v", got)
			}
		}
		if got := Watch(p.Pid, watched, func() bool { return false }); got != Lives {
			t.Errorf("of one that has got nothing to read, found %v", got)
		}
	})
	t.Run("one that has nothing to do", func(t *testing.T) {
		t.Parallel()
		p, _ := run(t, true, "sleep", "60")
		if got := Watch(p.Pid, watched, nothing); got != Asleep {
			t.Errorf("found %v", got)
		}
	})
	t.Run("one that a signal has stopped", func(t *testing.T) {
		t.Parallel()
		p, in := run(t, true, "cat")
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for threadsOf(p.Pid).finding() != Stopped {
			time.Sleep(time.Millisecond)
		}
		if got := Watch(p.Pid, watched, func() bool { _, err := io.WriteString(in, "x"); return err == nil }); got != Stopped {
			t.Errorf("found %v", got)
		}
	})
	t.Run("one that computes", func(t *testing.T) {
		t.Parallel()
		p, _ := run(t, false, "sh", "-c", "while :; do :; done")
		for range 5 {
			if got := Watch(p.Pid, watched, nothing); got != Lives {
				t.Errorf("found %v", got)
			}
		}
	})
	t.Run("this one", func(t *testing.T) {
		t.Parallel()
		if got := Watch(os.Getpid(), watched, nothing); got != Lives {
			t.Errorf("found %v", got)
		}
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if got := Watch(1<<22+1, watched, nothing); got != Lives { // ids are smaller
			t.Errorf("found %v", got)
		}
	})
}
