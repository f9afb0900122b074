// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// connect uses standard input and output as the control connection; release
// closes the child's ends here once they were inherited.
func (p *process) connect() (release func(), err error) {
	fromChild, childOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening control connection: %w", err)
	}
	childIn, toChild, err := os.Pipe()
	if err != nil {
		_, _ = fromChild.Close(), childOut.Close()
		return nil, fmt.Errorf("opening control connection: %w", err)
	}
	p.cmd.Stdin, p.cmd.Stdout = childIn, childOut
	p.wire = &wire{in: bufio.NewReader(fromChild), out: toChild, end: func() error {
		return errors.Join(fromChild.Close(), toChild.Close())
	}}
	p.cmd.Env = append(p.cmd.Env, envControl+"=stdio")
	return func() { _, _ = childIn.Close(), childOut.Close() }, nil
}

func (p *process) setUser(name string) error {
	if name != "" {
		return fmt.Errorf("dropping to user %q: %w", name, errors.ErrUnsupported)
	}
	return nil
}

// Identity is a user as a process needs it.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	Home     string
}

// LookupUser is not supported on this system.
func LookupUser(name string) (Identity, error) {
	return Identity{}, fmt.Errorf("looking up user %q: %w", name, errors.ErrUnsupported)
}

// signal ends the process: this system has no softer ways.
func (p *process) signal(signal) { _ = p.cmd.Process.Kill() }

// reap returns how the process ended.
func (p *process) reap() Exit { return Exit{Code: p.cmd.ProcessState.ExitCode()} }

// IsExecutable tells whether path can be run.
func IsExecutable(path string) error {
	_, err := exec.LookPath(path)
	return err
}
