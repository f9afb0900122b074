// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// launch starts a process and the goroutines that belong to it: one that writes
// to it, one that reads from it, one that waits for its end. All of them end with
// the process. One that is unbound takes no socket before it is activated.
func (s *Supervisor) launch(id int, spec *Spec, unbound bool) (*process, error) {
	if spec.External {
		return s.launchExternal(id, spec)
	}
	p, err := startProcess(id, spec, s.cfg.Stderr)
	if err != nil {
		return nil, err
	}
	hello := control.Message{Kind: control.KindHello, Config: spec.Config, Timeout: spec.DrainTimeout, Unbound: unbound}
	if s.cfg.AdminSocket != nil {
		hello.Admin = s.cfg.AdminSocket(id, spec.User)
	}
	if s.cfg.Hello != nil {
		hello.Data = s.cfg.Hello(spec)
	}
	go p.deliver(&hello)
	go s.hear(p)
	go s.await(p)
	go s.sample(p)
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
	in := inExited{id: p.id, said: said, oom: p.end(&exit)}
	in.exit = exit
	requests, err := p.left()
	if in.exit.InFlight = exits.Summary(requests, err, time.Now()); requests != nil {
		in.cut = requests.Requests
	}
	s.put(in)
}

// hear reads what the process has to say until its connection ends.
func (s *Supervisor) hear(p *process) {
	defer close(p.heard)
	ctx, cancel := p.lifetime()
	defer cancel()
	loaded := false
	for {
		m, err := p.wire.Recv()
		if p.parked(err, func(hold *parking) chan struct{} { return hold.heard }) {
			continue
		}
		if err != nil {
			go s.lose(p, err)
			return
		}
		switch m.Kind {
		case control.KindListen:
			if m.Network == control.NetworkParent {
				s.connect(p, m)
				continue
			}
			s.lend(ctx, p, m, loaded)
		case control.KindReady:
			loaded = true
			s.put(p.ready())
		case control.KindBeat:
			loaded = true
			s.put(inBeat{p.id})
		case control.KindReleased:
			s.put(inReleased{p.id})
		case control.KindBound:
			s.put(inBound{p.id})
		case control.KindFailed:
			said := plain.Text(m.Error, exits.MaxReason)
			p.said.Store(&said)
		case control.KindProved:
			s.put(inProved{p.id, plain.Text(m.Error, exits.MaxReason)})
		case control.KindProbed:
			s.put(inProbed{p.id, plain.Text(m.Error, exits.MaxReason)})
		case control.KindReport:
			if err := s.report(p, m); errors.Is(err, control.ErrUnreadable) {
				go s.lose(p, err)
				return
			}
		}
	}
}

// lose says why nothing is heard of a process any more, unless it ends by itself, as
// one does whose connection just ends.
func (s *Supervisor) lose(p *process, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		ending := time.NewTimer(endingTime)
		defer ending.Stop()
		select {
		case <-p.gone:
			return
		case <-ending.C:
		}
	}
	s.put(inBroken{p.id, plain.Line("its control connection has ended: "+err.Error(), exits.MaxReason)})
}

// endingTime is what a process may take to be gone after its control connection.
const endingTime = 2 * time.Second

// report hands on what a process says, and answers it if it waits for that.
func (s *Supervisor) report(p *process, m control.Message) (err error) {
	if s.cfg.Report != nil {
		err = s.cfg.Report(p.id, m.Topic, m.Data)
	}
	if m.ID == 0 {
		return err
	}
	answer := control.Message{Kind: control.KindReported, ID: m.ID}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = p.wire.Send(answer)
	return err
}

// rebindTime is what finding out whether an address can be had may take for a process that
// has loaded: it may be about to serve, and its other sockets and signs of life wait behind.
const rebindTime = 250 * time.Millisecond

// lend answers a process that wants to listen. It ends with ctx, when the process
// is gone.
func (s *Supervisor) lend(ctx context.Context, p *process, m control.Message, loaded bool) {
	if loaded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rebindTime)
		defer cancel()
	}
	answer := control.Message{Kind: control.KindListened, ID: m.ID}
	fd, err := -1, s.allow(p, m)
	if err == nil {
		err = s.reserve.With(func() (err error) {
			if m.Network == control.NetworkRelay {
				fd, err = s.relays.Lend(p.id, m.Address == control.RelayOwn)
				return err
			}
			fd, err = s.sockets.Lend(ctx, p.id, p.uid, m.Network, m.Address, m.Perm)
			return err
		})
	}
	if err != nil {
		answer.Error = plain.Line(err.Error(), exits.MaxReason)
		_ = p.wire.Send(answer)
		return
	}
	defer sockets.CloseFD(fd)
	if err := p.wire.Send(answer, fd); err != nil {
		text := plain.Line(fmt.Sprintf("passing socket %s/%s: %v", m.Network, m.Address, err), exits.MaxReason)
		p.said.Store(&text)
	}
}

// allow returns why a process is not lent a socket, or nil.
func (s *Supervisor) allow(p *process, m control.Message) error {
	if n := s.sockets.Used(p.id); m.Network != control.NetworkRelay && n >= sockets.MaxSockets && n >= sockets.Limit(p.spec.Config) {
		return fmt.Errorf("listening on %s/%s: the process has %d sockets, and may have no more", m.Network, m.Address, n)
	}
	return sockets.Allow(p.uid, p.spec.Config, m.Network, m.Address)
}
