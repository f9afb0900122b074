// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// server is somebody else's HTTP server, run as a backend.
type server struct {
	addr    string
	record  string // where it notes what it executes, if it does
	dir     string
	command []string
	proc    *harness.Process
}

// newServer prepares a server, not started. config is a template in testdata; in
// the command its path stands for {config}, and likewise {addr} and {record}. The
// test is skipped where the program is not installed.
func newServer(t *testing.T, app *harness.Backend, config string, command ...string) *server {
	t.Helper()
	program, err := exec.LookPath(command[0])
	if err != nil {
		t.Skipf("%v; bench/install.sh installs it", err)
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: "127.0.0.1:" + freePort(t), record: filepath.Join(dir, "record"), dir: dir, command: []string{program}}
	text, err := template.ParseFiles("testdata/" + config)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, config))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := text.Execute(file, map[string]any{
		"Dir": dir, "Addr": s.addr, "App": app.Addr, "Root": os.Getuid() == 0,
	}); err != nil {
		t.Fatal(err)
	}
	args := strings.NewReplacer("{config}", file.Name(), "{addr}", s.addr, "{record}", s.record)
	for _, arg := range command[1:] {
		s.command = append(s.command, args.Replace(arg))
	}
	t.Cleanup(func() {
		if s.proc == nil {
			return
		}
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stopping %s: %v", config, err)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", config, s.proc.Output())
		}
	})
	return s
}

// start runs the server and returns when it serves.
func (s *server) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	// Its workers go with it, which they would not if it was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if s.proc, err = harness.StartProcess(cmd, filepath.Join(s.dir, "output.log")); err != nil {
		t.Fatal(err)
	}
	if err := harness.Until(t.Context(), soon, func() error {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.proc.Output())
		}
		return conn.Close()
	}); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server and returns when it is gone.
func (s *server) stop(sig syscall.Signal) error {
	if err := s.proc.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.proc.Exited():
		return nil
	case <-time.After(soon):
		return fmt.Errorf("it runs on after %s: %w", sig, s.proc.Kill())
	}
}
