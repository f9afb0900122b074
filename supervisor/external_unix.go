// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
		notify, err = listenNotify(s.cfg.AdminSocket(id, spec.User)+".notify", spec.User)
		if err != nil {
			return nil, err
		}
	}
	p, err := startExternal(id, spec, s.cfg.Stderr, files, names, notify)
	if err != nil {
		notify.Close()
		return nil, err
	}
	go s.hearNotify(p, notify)
	go s.watchReady(p, spec)
	go s.awaitExternal(p, notify)
	return p, nil
}

// awaitExternal waits for the program and reports its end, once nothing of it is
// left and nobody listens to it any more.
func (s *Supervisor) awaitExternal(p *process, notify *notifySocket) {
	exit := p.wait()
	notify.Close()
	<-p.heard
	oom := p.end(&exit)
	s.put(inExited{id: p.id, exit: exit, oom: oom})
}

// lendExternal opens the program's sockets as files to inherit. Whoever wrote the
// configuration asks for them, not the program and its user.
func (s *Supervisor) lendExternal(id int, spec *Spec) (files []*os.File, names []string, err error) {
	for _, address := range spec.Listen {
		network, rest, perm, err := splitListen(address)
		if err != nil {
			return files, nil, err
		}
		fd, err := s.sockets.Lend(context.Background(), id, os.Geteuid(), network, rest, uint32(perm))
		if err != nil {
			return files, nil, fmt.Errorf("listen %s: %w", address, err)
		}
		// As systemd hands sockets over: blocking, unless the program says otherwise.
		// All who use a socket share that, so one in use stays as its user made it.
		if s.sockets.Alone(id, network, rest) {
			_ = unix.SetNonblock(fd, false)
		}
		files = append(files, os.NewFile(uintptr(fd), address))
		names = append(names, listenName(address))
	}
	return files, names, nil
}

// listenName is address as it may stand in LISTEN_FDNAMES, which is divided by
// colons.
func listenName(address string) string {
	return strings.Map(func(r rune) rune {
		if r == ':' || r == '/' || r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, address)
}

// watchReady calls a program ready when it accepts connections. Where that
// cannot be seen, having lived for aliveTime must do.
func (s *Supervisor) watchReady(p *process, spec *Spec) {
	alive := time.NewTimer(s.alive)
	defer alive.Stop()
	ctx, cancel := p.lifetime()
	defer cancel()
	for _, address := range spec.Listen {
		network, rest, _, err := splitListen(address)
		if err == nil && strings.HasPrefix(network, "tcp") && s.sockets.AwaitAccept(ctx, p.id, network, rest) {
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
