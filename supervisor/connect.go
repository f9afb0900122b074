// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// errNoConnect refuses a connection that nothing here would serve.
var errNoConnect = errors.New("connecting to the broker: it serves no connections of its children")

// connect answers a process that wants to speak with the parent's user.
func (s *Supervisor) connect(p *process, m control.Message) {
	answer := control.Message{Kind: control.KindListened, ID: m.ID}
	theirs, err := s.pair(m.Address)
	if err != nil {
		answer.Error = plain.Line(err.Error(), exits.MaxReason)
		_ = p.wire.Send(answer)
		return
	}
	defer sockets.CloseFD(theirs)
	_ = p.wire.Send(answer, theirs) // if it fails both ends are closed
}

// pair gives one end of a new connection to the parent's user, and returns the other.
func (s *Supervisor) pair(address string) (theirs int, err error) {
	if s.cfg.Connect == nil {
		return -1, errNoConnect
	}
	ours, theirs, err := sockets.Pair()
	if err != nil {
		return -1, err
	}
	if err := s.cfg.Connect(ours, address); err != nil {
		_ = ours.Close()
		sockets.CloseFD(theirs)
		return -1, err
	}
	return theirs, nil
}
