// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Only a child that a signal has stopped is stopped: not one that sleeps or computes, and
// not another program's child.
func TestIsStopped(t *testing.T) {
	t.Parallel()
	begin := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd
	}
	for _, args := range [][]string{{"sleep", "60"}, {"sh", "-c", "while :; do :; done"}} {
		cmd := begin(args[0], args[1:]...)
		pid := cmd.Process.Pid
		if isStopped(pid) {
			t.Errorf("%s is stopped, and was not", args[0])
		}
		for range 3 {
			for _, s := range []struct {
				signal  syscall.Signal
				stopped bool
			}{{syscall.SIGSTOP, true}, {syscall.SIGCONT, false}} {
				if err := cmd.Process.Signal(s.signal); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(10 * time.Second); isStopped(pid) != s.stopped; {
					if time.Now().After(end) {
						t.Fatalf("after %s, %s is stopped: %v", s.signal, args[0], !s.stopped)
					}
				}
			}
		}
	}

	// The shell's child is not ours.
	shell := exec.Command("sh", "-c", "sleep 60 & echo $!; kill -STOP $!; wait")
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	var line [32]byte
	n, err := out.Read(line[:])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_ = shell.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "State:\tT") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not stop:\n%s", text)
		}
	}
	if isStopped(pid) {
		t.Error("another program's child is taken for one of ours")
	}
	if isStopped(1<<22 + 1) {
		t.Error("no process is stopped")
	}
}
