// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	ossignal "os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A program's own children know nothing of the supervisor: when its process is killed,
// they would go on, with the sockets. So a watcher is one of the program's group. It
// holds the end of a pipe whose other end is the supervisor's, and ends the group when
// that is closed.
func init() {
	if os.Getenv(envWatch) == "" {
		return
	}
	ossignal.Ignore() // the group's signals are not for it
	awaitClosed(3)
	endGroup()
	os.Exit(0)
}

// awaitClosed returns when the other end of a pipe is closed.
func awaitClosed(fd int) {
	for buf := make([]byte, 1); ; {
		if n, err := unix.Read(fd, buf); n == 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// endGroup ends this process's group in order and, after endTime, by force: the next
// supervisor waits a little longer than that for the sockets.
func endGroup() {
	_ = unix.Kill(0, unix.SIGTERM)
	_ = unix.Kill(0, unix.SIGCONT)
	over := time.NewTimer(endTime)
	tick := time.NewTicker(groupPoll)
	for groupLives(unix.Getpgrp(), os.Getpid()) {
		select {
		case <-over.C:
			_ = unix.Kill(0, unix.SIGKILL)
		case <-tick.C:
		}
	}
}

// watcher is the process that ends a program's group after this process's death.
type watcher struct {
	pid      int
	lifeline *os.File
	over     chan struct{} // closed when it was waited for
}

// watchGroup starts the watcher of the group that p leads.
func (p *process) watchGroup() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("watching child process: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("watching child process: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(self)
	cmd.Env = []string{envWatch + "=1"}
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: p.cmd.Process.Pid}
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return fmt.Errorf("watching child process: %w", err)
	}
	p.watcher = &watcher{pid: cmd.Process.Pid, lifeline: write, over: make(chan struct{})}
	go func() {
		defer close(p.watcher.over)
		_ = cmd.Wait() // it was killed with the group
	}()
	return nil
}

// id is the watcher's process id; nil has none.
func (w *watcher) id() int {
	if w == nil {
		return 0
	}
	return w.pid
}

// release returns when the watcher, which has ended with its group, was waited for.
func (w *watcher) release() {
	if w != nil {
		_ = w.lifeline.Close()
		<-w.over
	}
}
