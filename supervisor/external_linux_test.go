// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// programSpec runs this binary as an external program that does p.
func programSpec(t *testing.T, p program, adjust ...func(*Spec)) *Spec {
	t.Helper()
	return childSpec(t, behaviour{}, append([]func(*Spec){func(s *Spec) {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		s.External, s.Config = true, nil
		s.Command = append(s.Command, "one", "two words")
		s.Env = append(os.Environ(), envTest+"=external", envProgram+"="+string(text))
	}}, adjust...)...)
}

// reported reads what a program of this process id saw.
func reported(t *testing.T, file string, pid int) (s seen) {
	t.Helper()
	until(t, "report of the program", func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		if s.Pid != pid {
			return fmt.Errorf("process %d reported, not %d", s.Pid, pid)
		}
		return nil
	})
	return s
}

// A program is given its sockets as systemd gives them, also after a crash, and
// counts as ready when it accepts.
func TestExternalSockets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "report") // removed when nothing writes there any more
	w := watch(t)
	a, b := freeAddress(t), freeAddress(t)
	w.start(programSpec(t, program{Report: file, Accept: 2}, func(s *Spec) {
		s.Listen = []string{"tcp/" + a, b}
		s.Watchdog = time.Minute
		s.Restart.Delay, s.Restart.MaxDelay = 300*time.Millisecond, 300*time.Millisecond
	}))
	for range 2 {
		pid := w.Status().Pid
		s := reported(t, file, pid)
		env := func(name string) string { v, _ := lookupEnv(s.Env, name); return v }
		want := map[string]string{
			"LISTEN_FDS": "2", "LISTEN_PID": strconv.Itoa(pid), "LISTEN_FDNAMES": listenName("tcp/"+a) + ":" + listenName(b),
			"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": strconv.Itoa(pid), envExec: "", control.Env: "",
		}
		for name, value := range want {
			if got := env(name); got != value {
				t.Errorf("%s=%s, want %s", name, got, value)
			}
		}
		if env("NOTIFY_SOCKET") == "" {
			t.Error("no NOTIFY_SOCKET")
		}
		if !slices.Equal(s.Listening, []string{a, b}) || slices.Contains(s.Blocking, false) {
			t.Errorf("its sockets are %v, blocking %v; want %s, %s", s.Listening, s.Blocking, a, b)
		}
		if !slices.Equal(s.Args[1:], []string{"one", "two words"}) {
			t.Errorf("its arguments are %q", s.Args)
		}
		for _, address := range []string{a, b} {
			if got, err := callServer(t.Context(), "tcp", address); err != nil || got != pid {
				t.Errorf("%s: answer of %d (%v), want %d", address, got, err, pid)
			}
		}
		// Dead, it refuses nobody: who waits is answered by the next one, and shows
		// that it accepts.
		_ = syscall.Kill(pid, syscall.SIGKILL)
		w.event("broker_child_exited")
		answers := make(chan error, 3)
		for range cap(answers) {
			go func() {
				got, err := callServer(t.Context(), "tcp", a)
				if err == nil && got == pid {
					err = errors.New("the dead answered")
				}
				answers <- err
			}()
		}
		w.event("broker_child_ready")
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("while it was dead: %v", err)
			}
		}
	}
}

func TestExternalReadiness(t *testing.T) {
	t.Parallel()
	// With a socket to accept from, having lived for a second is not enough.
	silent := func(s *Spec) { s.Listen = []string{"tcp/" + freeAddress(t)} }
	for _, c := range []struct {
		name   string
		p      program
		adjust func(*Spec)
		want   string // in the error
	}{
		{"it says so", program{Notify: []string{"READY=1"}}, silent, ""},
		{"it says so among other things", program{Notify: []string{"STATUS=loading", "STATUS=loaded\nREADY=1\nMAINPID=1"}}, silent, ""},
		{"it lives", program{}, func(*Spec) {}, ""},
		{"it does not accept", program{}, func(s *Spec) { silent(s); s.ReadyTimeout = 1500 * time.Millisecond }, "not ready within"},
		{"it accepts on any address", program{Accept: 1}, func(s *Spec) { s.Listen = []string{"tcp/:0"} }, ""},
		{"it accepts on any IPv4 address", program{Accept: 1}, func(s *Spec) { s.Listen = []string{"tcp4/:0"} }, ""},
		{"it ends", program{Exit: 7}, func(s *Spec) { s.Listen = []string{"tcp/127.0.0.1:0"} }, "exit code 7"},
		{"it does not exist", program{}, func(s *Spec) { s.Command[0] = "/nonexistent/program" }, "/nonexistent/program"},
		{"it is no program", program{}, func(s *Spec) { s.Command[0] = "/etc/passwd" }, "permission denied"},
		{"its address cannot be", program{}, func(s *Spec) { s.Listen = []string{"tcp/127.0.0.1:0", "tcp/192.0.2.1:1"} }, "cannot assign requested address"},
		{"its address is nonsense", program{}, func(s *Spec) { s.Listen = []string{"tcp/127.0.0.1"} }, "not a host and one port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			err := w.Start(t.Context(), programSpec(t, c.p, c.adjust))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			if err != nil && len(w.Sockets().Addresses()) > 0 {
				t.Errorf("sockets %v are held for nobody", w.Sockets().Addresses())
			}
		})
	}
}

// While the old program has the socket, an accepted connection proves nothing of
// the new one, and its socket stays as it made it.
func TestExternalReplacementThatFails(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.alive = time.Hour // however long the shell takes
	address := freeAddress(t)
	listen := func(s *Spec) { s.Listen = []string{"tcp/" + address} }
	w.start(programSpec(t, program{Accept: 1}, listen))
	pid := w.Status().Pid
	err := w.Replace(t.Context(), programSpec(t, program{}, listen, func(s *Spec) {
		s.Command = []string{"/bin/sh", "-c", "sleep 0.3; echo no such table; exit 1"}
	}))
	if err == nil || !strings.Contains(err.Error(), "exit code 1") || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("error %v", err)
	}
	if st := w.Status(); st.State != "active" || st.Pid != pid {
		t.Errorf("afterwards: %+v, want %d to serve", st, pid)
	}
	if got, err := callServer(t.Context(), "tcp", address); err != nil || got != pid {
		t.Errorf("answer of %d (%v), want %d", got, err, pid)
	}
}

func TestExternalReplacementLeavesTheSocketAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := watch(t)
	address := "tcp/" + freeAddress(t)
	listen := func(s *Spec) { s.Listen = []string{address} }
	spec := func(report string) *Spec {
		return programSpec(t, program{Report: filepath.Join(dir, report), Accept: 1}, listen)
	}
	w.start(spec("a")) // a Go program, which does not block
	if err := w.Replace(t.Context(), spec("b")); err != nil {
		t.Fatal(err)
	}
	if s := reported(t, filepath.Join(dir, "b"), w.Status().Pid); !slices.Equal(s.Blocking, []bool{false}) {
		t.Errorf("its sockets block: %v; the old one's was made to", s.Blocking)
	}
}

func TestExternalWatchdog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		p    program
	}{
		{"it falls silent", program{Notify: []string{"READY=1", "WATCHDOG=1"}}},
		{"it gives up", program{Notify: []string{"READY=1", "WATCHDOG=trigger"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			w.start(programSpec(t, c.p, func(s *Spec) { s.Watchdog = 500 * time.Millisecond }))
			if e := w.event("broker_child_exited"); e.Data["reason"] != "hang" {
				t.Errorf("event %v", e.Data)
			}
			w.event("broker_child_ready")
		})
	}
}

// What a program started ends with it, but is given the time to end when it was
// told to.
func TestExternalProcessGroup(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "work")
	worker := func() (pid int, err error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(text))
	}
	run := func(t *testing.T) (*watched, int) {
		_ = os.Remove(file)
		w := watch(t)
		w.start(programSpec(t, program{Worker: file, Notify: []string{"READY=1"}}))
		until(t, "its worker", func() error { _, err := worker(); return err })
		pid, _ := worker()
		return w, pid
	}
	t.Run("told to stop", func(t *testing.T) {
		w, pid := run(t)
		w.stop(control.Immediate)
		if text, _ := os.ReadFile(file); string(text) != "finished" {
			t.Errorf("its worker has not finished: %s", text)
		}
		ended(t, pid)
	})
	t.Run("forced", func(t *testing.T) {
		w, pid := run(t)
		w.stop(control.Force)
		if alive(pid) {
			t.Error("its worker lives")
		}
		if text, _ := os.ReadFile(file); string(text) == "finished" {
			t.Error("its worker has finished")
		}
	})
	t.Run("killed", func(t *testing.T) {
		w, pid := run(t)
		_ = syscall.Kill(w.Status().Pid, syscall.SIGKILL)
		w.event("broker_child_exited")
		if alive(pid) {
			t.Error("its worker lives")
		}
	})
}

// A daemon that a program left in a session of its own holds the program's
// standard error, but is nobody to wait for.
func TestExternalDaemonIsNotAwaited(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "daemon")
	w := watch(t)
	w.start(programSpec(t, program{Daemon: file}))
	var pid int
	until(t, "the daemon", func() error {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(string(text))
		}
		return err
	})
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.Stop(ctx, control.Immediate); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if !alive(pid) {
		t.Error("the daemon has ended, which nobody told it")
	}
}

// A program, and a child, may run as another user, with his groups and home.
func TestUser(t *testing.T) {
	t.Parallel()
	nobody := nobodyElse(t)
	uid, _ := strconv.Atoi(nobody.Uid)
	w := watch(t)
	if err := os.Chmod(w.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(w.dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "report")
	w.start(programSpec(t, program{Report: file, Notify: []string{"READY=1"}}, func(s *Spec) {
		s.User = "nobody"
		s.Listen = []string{"tcp/127.0.0.1:0"}
	}))
	s := reported(t, file, w.Status().Pid)
	home, _ := lookupEnv(s.Env, "HOME")
	name, _ := lookupEnv(s.Env, "USER")
	if strconv.Itoa(s.UID) != nobody.Uid || strconv.Itoa(s.GID) != nobody.Gid || slices.Contains(s.Groups, 0) || home != nobody.HomeDir || name != "nobody" {
		t.Errorf("it is user %d, group %d, groups %v, HOME=%s, USER=%s; want %+v", s.UID, s.GID, s.Groups, home, name, nobody)
	}

	child := watch(t)
	child.start(childSpec(t, behaviour{}, func(s *Spec) { s.User = "nobody" }))
	info, err := os.Stat(fmt.Sprintf("/proc/%d", child.Status().Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != uid {
		t.Errorf("the child runs as %d, want %d", owner, uid)
	}
}

// The program may be gone between the check and its execution.
func TestExternalProgramVanishes(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{envExec + "=/nonexistent/program"}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 127 || !strings.Contains(string(out), "executing /nonexistent/program: no such file") {
		t.Errorf("it ended with %v: %s", err, out)
	}
}

func TestNotifySocketIsRemoved(t *testing.T) {
	t.Parallel()
	n, err := listenNotify(filepath.Join(t.TempDir(), "n"), "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(n.path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("it is %v (%v)", info.Mode(), err)
	}
	n.Close()
	if _, err := os.Lstat(n.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := listenNotify(filepath.Join(t.TempDir(), "a", "b"), ""); err == nil {
		t.Error("a socket in a directory that is not there")
	}
	// Nothing is touched for a user who is not there.
	path := filepath.Join(t.TempDir(), "n")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenNotify(path, "nobody-of-that-name"); err == nil {
		t.Error("a socket for a user who is not there")
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("what was there is %v (%v)", info, err)
	}
}

// The user that a program runs as can write to its socket, nobody else can.
func TestNotifySocketIsTheUsers(t *testing.T) {
	t.Parallel()
	nobody := nobodyElse(t)
	n, err := listenNotify(filepath.Join(t.TempDir(), "n"), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	info, err := os.Lstat(n.path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); strconv.Itoa(int(st.Uid)) != nobody.Uid || strconv.Itoa(int(st.Gid)) != nobody.Gid || info.Mode().Perm() != 0o600 {
		t.Errorf("it is %v of user %d, group %d", info.Mode(), st.Uid, st.Gid)
	}
}
