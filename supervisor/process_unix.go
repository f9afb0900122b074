// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// controlFD is the descriptor of the control connection in a child: the first
// after standard input, output and error.
const controlFD = 3

// connect gives the process its control connection; release closes the child's
// end here once it was inherited.
func (p *process) connect() (release func(), err error) {
	ours, theirs, err := wirePair()
	if err != nil {
		return nil, err
	}
	p.wire = ours
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Env = append(p.cmd.Env, envControl+"="+strconv.Itoa(controlFD))
	attr := p.attr()
	attr.Setpgid = true // Ctrl-C in a terminal reaches the parent alone
	return func() { _ = theirs.Close() }, nil
}

func (p *process) attr() *syscall.SysProcAttr {
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	return p.cmd.SysProcAttr
}

// setUser makes the process run as name with all of that user's groups.
func (p *process) setUser(name string) error {
	if name == "" {
		return nil
	}
	id, err := LookupUser(name)
	if err != nil {
		return err
	}
	p.attr().Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID, Groups: id.Groups}
	for k, v := range map[string]string{"HOME": id.Home, "USER": name, "LOGNAME": name} {
		p.cmd.Env = SetEnv(p.cmd.Env, k, v)
	}
	return nil
}

// Identity is a user as a process needs it.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
	Home     string
}

// LookupUser finds a user of this system by name.
func LookupUser(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, fmt.Errorf("looking up user %q: %w", name, err)
	}
	number := func(s string) uint32 {
		n, convErr := strconv.ParseUint(s, 10, 32)
		if convErr != nil && err == nil {
			err = fmt.Errorf("looking up user %q: id %q is not a number", name, s)
		}
		return uint32(n)
	}
	id := Identity{UID: number(u.Uid), GID: number(u.Gid), Home: u.HomeDir}
	groups, groupErr := u.GroupIds()
	if groupErr != nil {
		return Identity{}, fmt.Errorf("looking up groups of user %q: %w", name, groupErr)
	}
	for _, g := range groups {
		id.Groups = append(id.Groups, number(g))
	}
	return id, err
}

// signal sends s to the process's whole group. A stopped process is continued,
// so that it can write its goroutine dump.
func (p *process) signal(s signal) {
	group := -p.cmd.Process.Pid
	switch s {
	case sigTerm:
		_ = unix.Kill(group, unix.SIGTERM)
	case sigAbort:
		_ = unix.Kill(group, unix.SIGABRT)
		_ = unix.Kill(group, unix.SIGCONT)
	case sigKill:
		_ = unix.Kill(group, unix.SIGKILL)
	}
}

func exitOf(state *os.ProcessState) Exit {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return Exit{Code: 128 + int(ws.Signal()), Signal: unix.SignalName(ws.Signal())}
	}
	return Exit{Code: state.ExitCode()}
}

// IsExecutable tells whether path can be run, as a program that does not exist
// shall be an error when a configuration is loaded.
func IsExecutable(path string) error {
	_, err := exec.LookPath(path)
	return err
}
