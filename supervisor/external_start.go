// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// handedOver are the variables of systemd's protocols that a program is given.
var handedOver = []string{"LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"}

// A program that takes sockets in systemd's form looks for its own process id in
// LISTEN_PID, which only the process itself can know before it is that program.
// So the first thing a process started with envExec does is to say so, and to
// become that program.
func init() {
	program := os.Getenv(envExec)
	if program == "" {
		return
	}
	err := syscall.Exec(program, os.Args[1:], programEnv(os.Environ(), os.Getpid()))
	fmt.Fprintf(os.Stderr, "executing %s: %v\n", program, err)
	os.Exit(127)
}

// programEnv is what the program sees of env, which startExternal made, in the
// process pid.
func programEnv(env []string, pid int) []string {
	out := CleanEnv(env)
	for _, name := range handedOver {
		if v, ok := lookupEnv(env, name); ok {
			out = SetEnv(out, name, v)
		}
	}
	for name, about := range map[string]string{"LISTEN_PID": "LISTEN_FDS", "WATCHDOG_PID": "WATCHDOG_USEC"} {
		if _, ok := lookupEnv(env, about); ok {
			out = SetEnv(out, name, strconv.Itoa(pid))
		}
	}
	return out
}

// startExternal spawns a program by way of this one, which hands the files over
// in systemd's form and then becomes the program.
func startExternal(id int, spec *Spec, output outputs, files []*os.File, names []string, notify *notifySocket) (*process, error) {
	program, err := exec.LookPath(spec.Command[0])
	if err != nil {
		return nil, fmt.Errorf("creating child process: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("creating child process: %w", err)
	}
	p, err := newProcess(id, append([]string{self}, spec.Command...), spec)
	if err != nil {
		return nil, err
	}
	give := func(name, value string) { p.cmd.Env = SetEnv(p.cmd.Env, name, value) }
	give(envExec, program)
	if len(files) > 0 {
		give("LISTEN_FDS", strconv.Itoa(len(files)))
		give("LISTEN_FDNAMES", strings.Join(names, ":"))
	}
	if notify != nil {
		give("NOTIFY_SOCKET", notify.path)
		if spec.Watchdog > 0 {
			give("WATCHDOG_USEC", strconv.FormatInt(spec.Watchdog.Microseconds(), 10))
		}
	}
	p.endWithParent()
	p.cmd.ExtraFiles = files
	if err := p.start(output); err != nil {
		return nil, err
	}
	if err := p.watchGroup(); err != nil {
		p.signal(sigKill)
		_ = p.wait()
		return nil, err
	}
	return p, nil
}
