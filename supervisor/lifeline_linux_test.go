// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// envSpec is the spec of the child that a middle process supervises.
const envSpec = "SUPERVISOR_TEST_SPEC"

// middleMain is a program with a supervisor in it, to be killed. It writes its
// processes' ids.
func middleMain() int {
	var spec Spec
	if err := json.Unmarshal([]byte(os.Getenv(envSpec)), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ready := make(chan struct{}, 100)
	s := New(Config{Name: "default", Stderr: os.Stderr, Event: func(e Event) {
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
	select {}
}

// When the supervisor's process dies, by SIGKILL even, its children end by
// themselves and their addresses are free.
func TestNoOrphans(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	spec := childSpec(t, behaviour{Listen: []string{"tcp/" + address}}, func(s *Spec) { s.Standby = 2 })
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(spec.Command[0])
	cmd.Env = append(os.Environ(), envTest+"=middle", envSpec+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < 3 && lines.Scan(); {
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 3 || !alive(pids[0]) {
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
