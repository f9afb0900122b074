// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// ownGroup gives the process a console of its own (CREATE_NO_WINDOW), so that Ctrl-C and
// the end of the supervisor's console reach the supervisor's process alone.
func (p *process) ownGroup() { p.cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: 0x08000000} }

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
