// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attach gives cmd, which is not started yet, a control connection and returns the
// supervisor's end of it. release closes the child's end in this process: call it
// once cmd was started, or could not be.
func Attach(cmd *exec.Cmd) (w *Wire, release func(), err error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, nil, err
	}
	// Standard input, output and error come first.
	fd := 3 + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Env, Env+"="+strconv.Itoa(fd))
	return ours, func() { _ = theirs.Close() }, nil
}

// pair makes the two ends of a control connection: ours, and the child's as
// a file to inherit.
func pair() (*Wire, *os.File, error) {
	// No other child, forked at this moment, may inherit them: the connection is
	// its child's lifeline.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("opening control connection: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := wireFrom(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	ours.max = maxReport
	return ours, theirs, nil
}

// inherited takes over the control connection whose descriptor is value.
func inherited(value string) (*Wire, error) {
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("descriptor %q of the control connection: not a number above 2", value)
	}
	unix.CloseOnExec(fd)
	w, err := wireFrom(os.NewFile(uintptr(fd), "control"))
	if err != nil {
		return nil, err
	}
	w.max, w.most, w.takes = maxOrder, maxReport, true
	return w, nil
}
