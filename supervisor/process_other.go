// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

import (
	"errors"
	"fmt"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// ownGroup does nothing: this system has no groups of processes.
func (p *process) ownGroup() {}

func (p *process) setUser(name string) error {
	if name != "" {
		return fmt.Errorf("dropping to user %q: %w", name, errors.ErrUnsupported)
	}
	return nil
}

// watcher is not needed on this system, whose processes have no groups.
type watcher struct{}

func (*watcher) release() {}

// signal ends the process: this system has no softer ways.
func (p *process) signal(signal) { _ = p.cmd.Process.Kill() }

// reap returns how the process ended.
func (p *process) reap() exits.Exit { return exits.Exit{Code: p.cmd.ProcessState.ExitCode()} }
