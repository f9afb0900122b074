// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// envExec makes a process started from this program replace itself by another
// one: the one its arguments name.
const envExec = "CADDY_BROKER_EXEC"

// A program that takes sockets in systemd's form looks for its own process id in
// LISTEN_PID, which only the process itself can know before it is that program.
// So the first thing a process started with envExec does is to say so, and to
// become that program.
func init() {
	if os.Getenv(envExec) == "" {
		return
	}
	env := CleanEnv(os.Environ())
	pid := strconv.Itoa(os.Getpid())
	for _, name := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		if v, ok := os.LookupEnv(name); ok {
			env = SetEnv(env, name, v)
		}
	}
	if _, ok := os.LookupEnv("LISTEN_FDS"); ok {
		env = SetEnv(env, "LISTEN_PID", pid)
	}
	if _, ok := os.LookupEnv("WATCHDOG_USEC"); ok {
		env = SetEnv(env, "WATCHDOG_PID", pid)
	}
	for i, e := range env {
		if strings.HasPrefix(e, envExec+"=") {
			env = append(env[:i], env[i+1:]...)
			break
		}
	}
	program := os.Getenv(envExec)
	err := syscall.Exec(program, os.Args[1:], env)
	fmt.Fprintf(os.Stderr, "executing %s: %v\n", program, err)
	os.Exit(127)
}

// aliveTime is how long a program must have run to count as ready, when neither
// it nor its sockets can tell.
const aliveTime = time.Second

// launchExternal starts a program that does not speak our protocol, with its
// sockets, and watches for its readiness.
func (s *Supervisor) launchExternal(id int, spec *Spec) (*process, error) {
	files, names, err := s.lendExternal(id, spec)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	var notify *notifySocket
	if s.cfg.AdminSocket != nil {
		notify, err = listenNotify(s.cfg.AdminSocket(id)+".notify", spec.User)
		if err != nil {
			return nil, err
		}
	}
	p, err := startExternal(id, spec, s.cfg.Stderr, files, names, notify)
	if err != nil {
		notify.Close()
		return nil, err
	}
	go s.awaitExternal(p, notify)
	if notify != nil {
		go s.hearNotify(p, notify)
	}
	go s.watchReady(p, spec)
	return p, nil
}

// lendExternal opens the program's sockets as files to inherit.
func (s *Supervisor) lendExternal(id int, spec *Spec) (files []*os.File, names []string, err error) {
	for _, address := range spec.Listen {
		network, rest, err := splitListen(address)
		if err != nil {
			return files, nil, err
		}
		path, perm := rest, os.FileMode(0o200)
		if network == "unix" {
			if p, bits, found := strings.Cut(rest, "|"); found {
				mode, err := strconv.ParseUint(bits, 8, 32)
				if err != nil {
					return files, nil, fmt.Errorf("listen %s: permission bits %q are not an octal number", address, bits)
				}
				path, perm = p, os.FileMode(mode)
			}
		}
		fd, err := s.sockets.Lend(id, network, path, uint32(perm))
		if err != nil {
			return files, nil, fmt.Errorf("listen %s: %w", address, err)
		}
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return files, nil, fmt.Errorf("listen %s: %w", address, err)
		}
		// As systemd hands sockets over: blocking, unless the program says otherwise.
		_ = unix.SetNonblock(dup, false)
		files = append(files, os.NewFile(uintptr(dup), address))
		names = append(names, strings.NewReplacer(":", "_", "/", "_").Replace(address))
	}
	return files, names, nil
}

func (s *Supervisor) awaitExternal(p *process, notify *notifySocket) {
	exit := p.wait()
	p.signal(sigKill) // whatever it left behind in its group
	notify.Close()
	s.sockets.Leave(p.id)
	s.put(inExited{id: p.id, exit: exit})
}

// watchReady calls a program ready when it has accepted what was sent to each of
// its sockets. Where that cannot be seen, having lived for aliveTime must do.
func (s *Supervisor) watchReady(p *process, spec *Spec) {
	alive := time.NewTimer(aliveTime)
	defer alive.Stop()
	for _, address := range spec.Listen {
		network, rest, _ := splitListen(address)
		if strings.HasPrefix(network, "tcp") && s.awaitAccept(p, network, rest) {
			s.put(inReady{p.id})
			return
		}
	}
	select {
	case <-p.gone:
	case <-alive.C:
		s.put(inReady{p.id})
	}
}
