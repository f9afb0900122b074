// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"time"
)

// launch starts a process and the goroutines that belong to it: one that writes
// to it, one that reads from it, one that waits for its end. All of them end with
// the process.
func (s *Supervisor) launch(id int, spec *Spec) (*process, error) {
	if spec.External {
		return s.launchExternal(id, spec)
	}
	p, err := startProcess(id, spec, s.cfg.Stderr)
	if err != nil {
		return nil, err
	}
	hello := message{Kind: msgHello, Config: spec.Config, Timeout: spec.DrainTimeout}
	if s.cfg.AdminSocket != nil {
		hello.Admin = s.cfg.AdminSocket(id, spec.User)
	}
	if s.cfg.Hello != nil {
		hello.Data = s.cfg.Hello()
	}
	go p.deliver(hello)
	go s.hear(p)
	go s.await(p)
	return p, nil
}

// await waits for the process and reports its end, once nothing of it is left and
// everything it said was heard.
func (s *Supervisor) await(p *process) {
	exit := p.wait()
	grace := time.NewTimer(outputGrace)
	select {
	case <-p.heard:
	case <-grace.C:
	}
	grace.Stop()
	_ = p.wire.Close()
	<-p.heard // or a socket could be lent to the dead
	said := ""
	if why := p.said.Load(); why != nil {
		said = *why
	}
	s.put(inExited{id: p.id, exit: exit, said: said})
}

// hear reads what the process has to say until its connection ends.
func (s *Supervisor) hear(p *process) {
	defer close(p.heard)
	ctx, cancel := p.lifetime()
	defer cancel()
	for {
		m, err := p.wire.recv()
		if err != nil {
			return
		}
		switch m.Kind {
		case msgListen:
			s.lend(ctx, p, m)
		case msgReady:
			s.put(inReady{p.id})
		case msgBeat:
			s.put(inBeat{p.id})
		case msgReleased:
			s.put(inReleased{p.id})
		case msgFailed:
			p.said.Store(&m.Error)
		case msgReport:
			s.report(p, m)
		}
	}
}

// report hands on what a process says, and answers it if it waits for that.
func (s *Supervisor) report(p *process, m message) {
	var err error
	if s.cfg.Report != nil {
		err = s.cfg.Report(p.id, m.Topic, m.Data)
	}
	if m.ID == 0 {
		return
	}
	answer := message{Kind: msgReported, ID: m.ID}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = p.wire.send(answer)
}

// lend answers a process that wants to listen. It ends with ctx, when the process
// is gone.
func (s *Supervisor) lend(ctx context.Context, p *process, m message) {
	answer := message{Kind: msgListened, ID: m.ID}
	fd, err := -1, p.mayBorrow(m.Network, m.Address)
	if err == nil {
		fd, err = s.sockets.Lend(ctx, p.id, p.uid, m.Network, m.Address, m.Perm)
	}
	if err != nil {
		answer.Error = err.Error()
		_ = p.wire.send(answer)
		return
	}
	defer closeFiles([]int{fd})
	if err := p.wire.send(answer, fd); err != nil {
		text := fmt.Sprintf("passing socket %s/%s: %v", m.Network, m.Address, err)
		p.said.Store(&text)
	}
}
