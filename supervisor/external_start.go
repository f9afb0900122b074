// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// startExternal spawns a program by way of this one, which hands the files over
// in systemd's form and then becomes the program.
func startExternal(id int, spec *Spec, stderr io.Writer, files []*os.File, names []string, notify *notifySocket) (*process, error) {
	program, err := exec.LookPath(spec.Command[0])
	if err != nil {
		return nil, fmt.Errorf("creating child process: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("creating child process: %w", err)
	}
	env := SetEnv(CleanEnv(spec.Env), envExec, program)
	if len(files) > 0 {
		env = SetEnv(env, "LISTEN_FDS", strconv.Itoa(len(files)))
		env = SetEnv(env, "LISTEN_FDNAMES", strings.Join(names, ":"))
	}
	if notify != nil {
		env = SetEnv(env, "NOTIFY_SOCKET", notify.path)
		if spec.Watchdog > 0 {
			env = SetEnv(env, "WATCHDOG_USEC", strconv.FormatInt(spec.Watchdog.Microseconds(), 10))
		}
	}
	p := newProcess(id, append([]string{self}, spec.Command...), spec)
	if err := p.setUser(spec.User); err != nil {
		return nil, err
	}
	// setUser adds to the environment that spec gives; ours goes on top.
	for _, e := range env {
		if k, v, ok := strings.Cut(e, "="); ok {
			p.cmd.Env = SetEnv(p.cmd.Env, k, v)
		}
	}
	p.attr().Setpgid = true
	p.cmd.ExtraFiles = files
	return p, p.start(stderr, func() {})
}
