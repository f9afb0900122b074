// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// programEnv makes a process a program, and names its lifeline; programWorker
// makes it a program's worker.
const (
	programEnv    = "CADDY_BROKER_HARNESS_PROGRAM"
	programWorker = "worker"
)

// Program is a program for a broker to supervise as a child: this executable once
// more. It serves HTTP on the one socket that it is handed in systemd's form,
// starts a worker in its process group, and then says that it is ready. It
// answers with its own process id and its worker's.
//
// In a Caddyfile it is
//
//	command {$PROGRAM}
//	env CADDY_BROKER_HARNESS_PROGRAM {$LIFELINE}
//
// with the variables of Env.
type Program struct {
	// Env has PROGRAM and LIFELINE.
	Env []string

	lifeline *os.File
}

// NewProgram prepares a program in dir, which lives until Close at the latest.
func NewProgram(dir string) (*Program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lifeline")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	// Opened for both, it does not wait for a reader.
	lifeline, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Program{Env: []string{"PROGRAM=" + self, "LIFELINE=" + path}, lifeline: lifeline}, nil
}

// Close ends all processes of the program that are left.
func (p *Program) Close() error { return p.lifeline.Close() }

// ProgramMain turns this process into a program or its worker if it was started
// as one, and does not return then. Call it first in TestMain or main.
func ProgramMain() {
	path := os.Getenv(programEnv)
	if path == "" {
		return
	}
	lifeline, err := os.Open(path)
	if err == nil && len(os.Args) > 1 && os.Args[1] == programWorker {
		_, _ = io.Copy(io.Discard, lifeline)
		os.Exit(0)
	}
	if err == nil {
		err = serveProgram(lifeline)
	}
	fmt.Fprintln(os.Stderr, "running program:", err)
	os.Exit(1)
}

func serveProgram(lifeline io.Reader) error {
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		os.Exit(0)
	}()
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return fmt.Errorf("process %d has LISTEN_PID=%s, LISTEN_FDS=%s", os.Getpid(), os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"))
	}
	socket := os.NewFile(3, "socket") // the first one, by convention
	ln, err := net.FileListener(socket)
	if err != nil {
		return err
	}
	_ = socket.Close()
	worker := exec.Command(os.Args[0], programWorker)
	if err := worker.Start(); err != nil {
		return err
	}
	if err := notify("READY=1"); err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, os.Getpid(), worker.Process.Pid)
	}))
}

// notify tells the service manager something, in systemd's way.
func notify(text string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return errors.New("there is no NOTIFY_SOCKET")
	}
	conn, err := net.Dial("unixgram", address)
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, text)
	return errors.Join(err, conn.Close())
}
