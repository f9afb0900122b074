// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/output"
)

func TestStartServeStop(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	st := w.Status()
	if st.State != "active" || st.Pid == 0 || len(st.Processes) != 1 || st.Processes[0].State != "active" || st.Processes[0].Ready == nil {
		t.Errorf("after the start: %+v", st)
	}
	if err := w.Start(t.Context(), nil); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	if err := w.Promote(t.Context()); !errors.Is(err, ErrNoStandby) {
		t.Errorf("a promote without standby: %v", err)
	}
	w.stop(control.Immediate)
	if alive(st.Pid) {
		t.Error("the process lives after the stop")
	}
	if err := w.Stop(t.Context(), control.Force); !errors.Is(err, ErrStopped) {
		t.Errorf("a second stop: %v", err)
	}
	if st := w.Status(); st.State != "stopped" || st.LastExit == nil || st.LastExit.Reason != "stop" || st.LastExit.Code != 0 {
		t.Errorf("after the stop: %+v, %+v", st, st.LastExit)
	}
	w.start(nil)
	w.Close()
	if err := w.Start(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a start after the end: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name   string
		b      behaviour
		adjust func(*Spec)
		want   []string
	}{
		{"says why", behaviour{Fails: "unknown module: nonsense"}, nil, []string{`starting child "default": unknown module: nonsense (exit code 1)`}},
		{"says much", behaviour{Fails: long}, nil, []string{long[:8<<10] + "... (exit"}},
		{"says what a terminal obeys", behaviour{Fails: "\x1b[2Jgone\u009b"}, nil, []string{`: ?[2Jgone? (exit code 1)`}},
		{"says nothing", behaviour{Exits: 3}, nil, []string{"ended before it was ready (exit code 3)", "the last words"}},
		{"no such program", behaviour{}, func(s *Spec) { s.Command[0] = "/nonexistent" }, []string{"/nonexistent", "no such file"}},
		{"no program", behaviour{}, func(s *Spec) { s.Command = nil }, []string{"no command"}},
		{"no such user", behaviour{}, func(s *Spec) { s.User = "nobody-of-that-name" }, []string{"nobody-of-that-name"}},
		{"never ready", behaviour{Never: true}, func(s *Spec) { s.ReadyTimeout = 300 * time.Millisecond }, []string{"not ready within 300ms"}},
		{"not configured", behaviour{}, func(s *Spec) { s.Config = []byte(`"text"`) }, []string{"cannot unmarshal"}},
		{"not our protocol", behaviour{}, func(s *Spec) { s.Command = []string{"/bin/sh", "-c", "echo hello; exit 4"} }, []string{"exit code 4", "hello"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			spec := childSpec(t, c.b)
			if c.adjust != nil {
				c.adjust(spec)
			}
			err := w.Start(t.Context(), spec)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %.100q in it", err, want)
				}
			}
			if st := w.Status(); st.State != "stopped" || len(st.Processes) != 0 {
				t.Errorf("afterwards: %+v", st)
			}
			if held := w.Sockets().Addresses(); len(held) != 0 {
				t.Errorf("sockets %v are still held", held)
			}
		})
	}
}

// A Go panic is on standard error, which is kept, and goes on to our own.
func TestPanicIsKept(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	w.Tell("panic", nil)
	e := w.event("broker_child_exited")
	if e.Data["code"] != 2 || e.Data["reason"] != "crash" {
		t.Errorf("event %v", e.Data)
	}
	exit := w.Status().LastExit
	if exit.Fault != "panic: somebody said so" || !strings.HasPrefix(exit.Goroutine, "goroutine ") || !strings.Contains(exit.Goroutine, "told(") || exit.Role != "active" || exit.Generation != 1 {
		t.Errorf("exit %+v", exit)
	}
	for _, want := range []string{"panic: somebody said so", "goroutine ", "told("} {
		if !strings.Contains(exit.Stderr, want) {
			t.Errorf("no %q in what was kept:\n%s", want, exit.Stderr)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.output.String(), "panic: somebody said so") {
		t.Error("the panic did not reach our own standard error")
	}
}

func TestExitCodesAndSignals(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	for _, c := range []struct {
		end    func(pid int)
		code   int
		signal string
		reason string
	}{
		{func(int) { w.Tell("exit", []byte("42")) }, 42, "", "crash"},
		{func(int) { w.Tell("exit", []byte("0")) }, 0, "", "crash"},
		{func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }, 137, "SIGKILL", "killed"},
		{func(pid int) { _ = syscall.Kill(pid, syscall.SIGTERM) }, 143, "SIGTERM", "killed"},
		{func(pid int) { _ = syscall.Kill(pid, syscall.SIGSEGV) }, 2, "", "crash"},
	} {
		before := w.Status()
		c.end(before.Pid)
		w.event("broker_child_exited")
		exit := w.Status().LastExit
		if exit.Code != c.code || exit.Signal != c.signal || exit.Reason != c.reason || exit.Pid != before.Pid || exit.At.IsZero() {
			t.Errorf("exit %+v, want %d %q (%s) of %d", exit, c.code, c.signal, c.reason, before.Pid)
		}
		w.event("broker_child_ready")
		if after := w.Status(); after.Restarts != before.Restarts+1 || after.Pid == before.Pid {
			t.Errorf("%d restarts before, %d after; pid %d", before.Restarts, after.Restarts, after.Pid)
		}
	}
}

// What a service manager gave to this process is not for its children.
func TestEnvironmentIsClean(t *testing.T) {
	t.Parallel()
	w := watch(t)
	spec := childSpec(t, behaviour{})
	ours := []string{"NOTIFY_SOCKET=/run/x", "LISTEN_FDS=3", "LISTEN_PID=1", "LISTEN_FDNAMES=a", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "CADDY_BROKER_EXEC=/bin/false"}
	spec.Env = append(append(spec.Env, ours...), "GREETING=hello")
	w.start(spec)
	var env []string
	w.report("env", &env)
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "LISTEN_") || strings.HasPrefix(name, "WATCHDOG_") || name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "CADDY_BROKER_") {
			t.Errorf("the child has %s", e)
		}
	}
	if !slices.Contains(env, "GREETING=hello") {
		t.Error("what was asked for is not in the environment")
	}
}

// A configuration of several MiB goes through the control connection.
func TestLargeConfiguration(t *testing.T) {
	t.Parallel()
	const size = 3 << 20 // the race detector takes a third of a second for each MiB, and ten times as long on a busy machine
	w := watch(t)
	w.start(childSpec(t, behaviour{Filler: strings.Repeat("x", size)}))
	var got int
	w.report("filler", &got)
	if got != size {
		t.Errorf("%d bytes arrived, want %d", got, size)
	}
}

// A child that reads nothing of a large configuration is found by ready_timeout,
// and does not keep its supervisor from anything.
func TestChildThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := watch(t)
	spec := childSpec(t, behaviour{Filler: strings.Repeat("x", 8<<20)}, func(s *Spec) {
		s.Command = []string{"/bin/sh", "-c", "exec sleep 1000"}
		s.ReadyTimeout = 200 * time.Millisecond
	})
	err := w.Start(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "not ready within 200ms") {
		t.Errorf("error %v", err)
	}
}

func TestHungChild(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}, func(s *Spec) { s.Watchdog = 2 * time.Second }))
	pid := w.Status().Pid
	begun := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.event("broker_child_exited")
	exit := w.Status().LastExit
	if exit.Reason != "hang" || exit.Pid != pid || exit.Fault != "SIGABRT: abort" {
		t.Errorf("exit %+v", exit)
	}
	for _, want := range []string{"SIGABRT: abort", "goroutine ", "childMain"} {
		if !strings.Contains(exit.Stderr, want) {
			t.Errorf("no %q in the dump:\n%.2000s", want, exit.Stderr)
		}
	}
	w.event("broker_child_ready")
	t.Logf("serving again %s after SIGSTOP", time.Since(begun))
	if got := w.Status().Stats.Exits["hang"]; got != 1 {
		t.Errorf("%d hangs counted", got)
	}
}

func TestHungStandby(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}, func(s *Spec) { s.Watchdog, s.Standby = 2*time.Second, 1 }))
	active := w.Status().Pid
	standby := w.standby(active)
	if err := syscall.Kill(standby, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if e := w.event("broker_child_exited"); e.Data["pid"] != standby || e.Data["reason"] != "hang" {
		t.Errorf("event %v, want the standby %d", e.Data, standby)
	}
	if w.standby(active) == standby || w.Status().Pid != active {
		t.Errorf("afterwards: %+v", w.Status())
	}
}

// standby waits for a ready spare beside the active process and returns its id.
func (w *watched) standby(active int) (pid int) {
	w.t.Helper()
	until(w.t, "a standby", func() error {
		st := w.Status()
		for _, p := range st.Processes {
			if p.State == "standby" && p.Pid != active {
				pid = p.Pid
				return nil
			}
		}
		return fmt.Errorf("status %+v", st)
	})
	return pid
}

func TestStandbyTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}, func(s *Spec) { s.Standby, s.Restart.Delay, s.Restart.MaxDelay = 1, time.Hour, time.Hour }))
	active := w.Status().Pid
	standby := w.standby(active)
	if err := syscall.Kill(active, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := w.event("broker_child_promoted"); e.Data["pid"] != standby {
		t.Errorf("event %v, want %d", e.Data, standby)
	}
	if st := w.Status(); st.State != "active" || st.Pid != standby || st.Restarts != 1 {
		t.Errorf("afterwards: %+v", st)
	}
}

// control.Force is over within a second, also for what ignores it.
func TestForce(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{Defies: true}))
	pid := w.Status().Pid
	immediate := make(chan error, 1)
	go func() { immediate <- w.Stop(t.Context(), control.Immediate) }()
	until(t, "the immediate stop", func() error {
		if st := w.Status(); st.State != "stopping" {
			return errors.New(st.State)
		}
		return nil
	})
	begun := time.Now()
	w.stop(control.Force)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("force took %s", took)
	}
	if err := <-immediate; err != nil {
		t.Errorf("the immediate stop that was turned into force: %v", err)
	}
	if exit := w.Status().LastExit; exit.Signal != "SIGKILL" || exit.Reason != "stop" || alive(pid) {
		t.Errorf("exit %+v, alive %v", exit, alive(pid))
	}
}

// Nothing of a child's process group outlives it.
func TestGrandchildrenEndToo(t *testing.T) {
	t.Parallel()
	w := watch(t)
	for _, end := range []func(pid int){
		func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) },
		func(int) { w.Tell("exit", []byte("0")) },
		func(int) { w.stop(control.Immediate) },
	} {
		if w.Status().State == "stopped" {
			w.start(childSpec(t, behaviour{}))
		}
		w.mu.Lock()
		delete(w.reports, "spawned")
		w.mu.Unlock()
		pid := w.Status().Pid
		w.Tell("spawn", nil)
		var grandchild int
		w.report("spawned", &grandchild)
		if !alive(grandchild) {
			t.Fatal("the grandchild never lived")
		}
		end(pid)
		w.event("broker_child_exited")
		ended(t, grandchild)
		if w.Status().State != "stopped" {
			w.event("broker_child_ready")
		}
	}
}

// Close ends whatever is going on, and whoever waits gets an answer.
func TestCloseAnytime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		b    behaviour
		wait string // for this event before
	}{
		{"while starting", behaviour{Never: true}, "broker_child_started"},
		{"while it serves", behaviour{}, "broker_child_ready"},
		{"while it defies a stop", behaviour{Defies: true}, "broker_child_ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			answers := make(chan error, 2)
			go func() { answers <- w.Start(t.Context(), childSpec(t, c.b)) }()
			pid, _ := w.event(c.wait).Data["pid"].(int)
			go func() { answers <- w.Replace(t.Context(), childSpec(t, behaviour{Never: true})) }()
			w.event("broker_child_started")
			begun := time.Now()
			w.Close()
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("closing took %s", took)
			}
			for range 2 {
				select {
				case err := <-answers:
					if err != nil && !errors.Is(err, ErrSuperseded) && !errors.Is(err, ErrClosed) {
						t.Errorf("answer %v", err)
					}
				case <-time.After(patience):
					t.Fatal("somebody still waits")
				}
			}
			if pid == 0 || alive(pid) {
				t.Errorf("process %d is alive: %v", pid, alive(pid))
			}
			w.Close() // a second time is nothing
		})
	}
}

// A full disk behind our standard error must not stop the child.
func TestOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w := watch(t, func(c *Config) { c.Stderr = func(int) io.WriteCloser { return keptOpen{full} } })
	spec := childSpec(t, behaviour{Exits: 5}, func(s *Spec) {
		s.Command = []string{"/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i of what fills a pipe; i=$((i+1)); done; exit 6"}
	})
	if err := w.Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "exit code 6") || !strings.Contains(err.Error(), "line 19999") {
		t.Errorf("error %v", err)
	}
	if kept := len(w.Status().LastExit.Stderr); kept != output.TailSize {
		t.Errorf("%d bytes of output kept, want %d", kept, output.TailSize)
	}
}

// A process that cannot be started any more leaves the reason where an operator looks.
func TestSpawnFailureHasItsReason(t *testing.T) {
	t.Parallel()
	w := watch(t)
	spec := childSpec(t, behaviour{})
	self := spec.Command[0]
	spec.Command[0] = filepath.Join(t.TempDir(), "program")
	if err := os.Symlink(self, spec.Command[0]); err != nil {
		t.Fatal(err)
	}
	w.start(spec)
	if err := os.Remove(spec.Command[0]); err != nil {
		t.Fatal(err)
	}
	w.Tell("exit", []byte("3"))
	w.event("broker_child_exited")
	e := w.event("broker_child_exited")
	said, _ := e.Data["error"].(string)
	if e.Data["reason"] != exits.Spawn || !strings.Contains(said, "no such file") || !strings.Contains(said, spec.Command[0]) {
		t.Errorf("event %v", e.Data)
	}
	if exit := w.Status().LastExit; exit == nil || exit.Reason != exits.Spawn || exit.Error != said {
		t.Errorf("last exit %+v, want %q", exit, said)
	}
}
