// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// envSpec is the spec of the child that a middle process supervises.
const envSpec = "SUPERVISOR_TEST_SPEC"

// envHoard makes a middle process take all descriptors that there are, once its child is
// ready.
const envHoard = "SUPERVISOR_TEST_HOARD"

// hoard opens files until there are no more descriptors.
func hoard() {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	limit.Cur = 256
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	for {
		if _, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
	}
}

// middleMain is a program with a supervisor in it, to be killed. It writes its
// processes' ids.
func middleMain() int {
	var spec Spec
	if err := json.Unmarshal([]byte(os.Getenv(envSpec)), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ready := make(chan struct{}, 100)
	s := New(Config{Name: "default", Stderr: func(int) io.WriteCloser { return keptOpen{os.Stderr} }, Event: func(e Event) {
		if e.Name == "broker_child_ready" {
			ready <- struct{}{}
		}
	}})
	if err := s.Start(context.Background(), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for range spec.Standby + 1 {
		<-ready
	}
	for _, p := range s.Status().Processes {
		fmt.Println(p.Pid)
	}
	if os.Getenv(envHoard) != "" {
		hoard()
		for range ready {
			fmt.Println(s.Status().Pid)
		}
	}
	select {}
}

// middle starts such a program, and returns it with a function for the next process id
// that it writes.
func middle(t *testing.T, spec *Spec, env ...string) (cmd *exec.Cmd, next func() int) {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(spec.Command[0])
	cmd.Env = slices.Concat(os.Environ(), []string{envTest + "=middle", envSpec + "=" + string(text)}, env)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { stuck.Stop() })
	lines := bufio.NewScanner(out)
	return cmd, func() (pid int) {
		t.Helper()
		lines.Scan()
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatalf("it wrote %q: %v", lines.Text(), err)
		}
		return pid
	}
}

// A child that dies is started again although this process has used up all its
// descriptors, and so is the next one.
func TestStartWithoutDescriptors(t *testing.T) {
	t.Parallel()
	spec := childSpec(t, behaviour{Listen: []string{"tcp/" + freeAddress(t)}}, func(s *Spec) {
		s.Restart.Delay, s.Restart.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	})
	cmd, next := middle(t, spec, envHoard+"=1")
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := next()
	for range 3 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		again := next()
		if again == pid || !alive(again) {
			t.Fatalf("process %d was followed by %d", pid, again)
		}
		pid = again
	}
}

// When the supervisor's process dies, by SIGKILL even, its children end by
// themselves and their addresses are free.
func TestNoOrphans(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	spec := childSpec(t, behaviour{Listen: []string{"tcp/" + address}}, func(s *Spec) { s.Standby = 2 })
	cmd, next := middle(t, spec)
	pids := []int{next(), next(), next()}
	if !alive(pids[0]) {
		t.Fatalf("processes %v", pids)
	}
	if _, err := callServer(t.Context(), "tcp", address); err != nil {
		t.Errorf("before: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, pid := range pids {
		ended(t, pid)
	}
	// The last thread of a process may end after the one that is seen.
	until(t, "the address", func() error {
		ln, err := net.Listen("tcp", address)
		if err == nil {
			err = ln.Close()
		}
		return err
	})
}

// What a program has started ends with the supervisor's process, in order if it does
// what it is told.
func TestNoOrphansOfPrograms(t *testing.T) {
	t.Parallel()
	for name, defies := range map[string]bool{"obeys": false, "defies": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "work")
			cmd, next := middle(t, programSpec(t, program{Worker: file, Defies: defies}))
			main, worker := next(), 0
			until(t, "its worker", func() error {
				text, err := os.ReadFile(file)
				if err == nil {
					worker, err = strconv.Atoi(string(text))
				}
				return err
			})
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ended(t, main)
			ended(t, worker)
			if text, _ := os.ReadFile(file); (string(text) == "finished") == defies {
				t.Errorf("its worker left %q", text)
			}
			until(t, "the end of its group", func() error {
				if groupLives(main, 0) {
					return errors.New("something of it lives")
				}
				return nil
			})
		})
	}
}
