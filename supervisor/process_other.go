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

// connect uses standard input and output as the control connection.
func (p *process) connect() (release func(), err error) {
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("opening control connection: %w", err)
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening control connection: %w", err)
	}
	p.wire = &wire{in: bufio.NewReader(out), out: in, end: in.Close}
	p.cmd.Env = append(p.cmd.Env, envControl+"=stdio")
	return func() {}, nil
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

func exitOf(state *os.ProcessState) Exit { return Exit{Code: state.ExitCode()} }

// IsExecutable tells whether path can be run.
func IsExecutable(path string) error {
	_, err := exec.LookPath(path)
	return err
}
