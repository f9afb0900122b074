// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// ProofError says that a replacement was ready and could not prove that it would serve
// well: what ran before goes on.
type ProofError struct {
	Child string
	// Failed is what the replacement itself says about it.
	Failed string
}

func (e *ProofError) Error() string {
	return fmt.Sprintf("child %q goes on as before, since its replacement did not prove that it would serve: %s", e.Child, e.Failed)
}

// inProved is a candidate that has done what it was to prove; failed says why it could
// not, and is empty if it could.
type inProved struct {
	id     int
	failed string
}

// mustProve reports whether p, which is ready, has to prove itself before it serves. Where
// nothing serves it could only make things worse.
func (m *machine) mustProve(p *proc) bool {
	c := m.candidate
	return c != nil && !c.recedes && p.gen == c.gen && p.spec.Prove != nil && !p.spec.External && m.active() != nil
}

func (m *machine) prove(now time.Time, p *proc) {
	p.phase = phaseProving
	if p.spec.ProveTimeout > 0 {
		p.deadline = now.Add(p.spec.ProveTimeout)
	}
	m.do(action{kind: actSend, id: p.id, msg: control.Message{Kind: control.KindProve, Data: p.spec.Prove}})
	// It takes them a while, and what serves leaves its sockets as soon as p serves.
	if p.spec.Probation > 0 && !p.spec.Equal(m.spec) && m.probation == nil {
		m.unbindStandbys(m.gen)
	}
}

func (in inProved) apply(m *machine, now time.Time) {
	p, c := m.find(in.id), m.candidate
	switch {
	case p == nil || p.phase != phaseProving || c == nil || p.gen != c.gen:
	case in.failed != "":
		m.unproved(now, p, in.failed)
	default:
		p.phase, p.deadline = phaseStandby, time.Time{}
		m.candidate, m.later = m.later, nil
		m.takeOver(now, p, c)
	}
}

// unproved gives up a candidate: nothing has changed for users.
func (m *machine) unproved(now time.Time, p *proc, why string) {
	c := m.candidate
	m.stop(now, p, exits.Stop)
	if c != nil && p.gen == c.gen {
		m.candidateFailed(c, &ProofError{Child: m.name, Failed: why})
	}
}
