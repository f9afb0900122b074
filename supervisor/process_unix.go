// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/users"
)

// ownGroup puts the process into a group of its own, which is signalled as a whole.
// Ctrl-C in a terminal reaches the supervisor's process alone.
func (p *process) ownGroup() { p.attr().Setpgid = true }

func (p *process) attr() *syscall.SysProcAttr {
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	return p.cmd.SysProcAttr
}

// signal sends s to the process's whole group. A stopped process is continued,
// so that it can write its goroutine dump, or end.
func (p *process) signal(s signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	group := -p.cmd.Process.Pid
	switch s {
	case sigTerm:
		p.asked = true
		_ = unix.Kill(group, unix.SIGTERM)
		_ = unix.Kill(group, unix.SIGCONT)
	case sigAbort:
		_ = unix.Kill(group, unix.SIGABRT)
		_ = unix.Kill(group, unix.SIGCONT)
	case sigKill:
		select {
		case <-p.killed:
		default:
			close(p.killed)
		}
		_ = unix.Kill(group, unix.SIGKILL)
	}
}

// reap takes the process's exit. From then on nothing is signalled.
func (p *process) reap() exits.Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Wait() // its state says it all
	p.reaped = true
	if p.cmd.ProcessState == nil { // it was handed over, and waited for before that
		return exits.Exit{Code: -1}
	}
	return exitOf(p.cmd.ProcessState)
}

func exitOf(state *os.ProcessState) exits.Exit {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return exits.Exit{Code: 128 + int(ws.Signal()), Signal: unix.SignalName(ws.Signal())}
	}
	return exits.Exit{Code: state.ExitCode()}
}

// setUser makes the process run as name with all of that user's groups.
func (p *process) setUser(name string) error {
	if name == "" {
		return nil
	}
	id, err := users.Lookup(name)
	if err != nil {
		return err
	}
	p.uid = int(id.UID)
	p.attr().Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID, Groups: id.Groups}
	for _, v := range [][2]string{{"HOME", id.Home}, {"USER", name}, {"LOGNAME", name}} {
		p.cmd.Env = SetEnv(p.cmd.Env, v[0], v[1])
	}
	return nil
}
