// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Process is a program that was started here. Exactly one goroutine waits for it.
type Process struct {
	cmd    *exec.Cmd
	output string        // the file of its standard output and error
	exited chan struct{} // closed when it has been waited for
}

// StartProcess starts cmd with its output appended to a file: a pipe would be
// held open by its own children. When this process dies, the kernel kills it, or
// sends it the Pdeathsig that cmd asks for.
func StartProcess(cmd *exec.Cmd, output string) (*Process, error) {
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	p := &Process{cmd: cmd, output: output, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		close(p.exited)
	}()
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is the exit code, −1 after death by a signal; it waits for the end.
func (p *Process) ExitCode() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to this process alone.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.exited:
		return nil // its id may be another process's by now
	default:
		if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil // it has just ended
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// Output is what the process, and what it started, have written so far.
func (p *Process) Output() string {
	out, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// Alive reports whether a process runs. One that has ended and was not waited
// for does not.
func Alive(pid int) bool {
	switch stateOf(pid) {
	case 0, 'X':
		return false
	case 'Z': // a thread that writes to a disk may outlast the others, and keeps what is open
		threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		return err == nil && len(threads) > 1
	}
	return true
}

// stateOf is the letter of a process's state, 0 when there is no such process.
func stateOf(pid int) byte {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The state follows the name, which stands in parentheses and may hold any.
	_, after, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	if !found || len(after) == 0 {
		return 0
	}
	return after[0]
}

// processesIn returns the living processes of a program whose working directory
// is dir.
func processesIn(dir, program string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process may end while it is looked at.
		cwd, _ := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		exe, _ := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if cwd == dir && exe == program && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
