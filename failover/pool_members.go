// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// ErrTooMany says that lists from elsewhere name more addresses than a pool takes.
var ErrTooMany = fmt.Errorf("the lists of this pool together name more than %d addresses", address.MaxListAddresses)

// Restricted reports whether only others than the operator named this address:
// where it leads is checked at each dial.
func (m *Member) Restricted() bool { return m.shown.restricted.Load() }

// Said is what sources have said of this pool's addresses, perhaps to an earlier
// process.
func (p *Pool) Said() *membership.Membership {
	p.mu.Lock()
	defer p.mu.Unlock()
	return membership.Restore(p.machine.said)
}

// Answering are the members that answer now, with a number that grows each time
// one was lost: a member with another number than before may be another program.
func (p *Pool) Answering() map[*Member]uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make(map[*Member]uint32)
	for _, m := range p.machine.members {
		if m.serves() && m.seen {
			list[m] = m.epoch
		}
	}
	return list
}

// Unanswering are the addresses that are there only because sources named them,
// and that are down.
func (p *Pool) Unanswering() (down []address.URI) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.machine.members {
		if m.sourced && m.state == stateDown {
			down = append(down, m.URI)
		}
	}
	return down
}

// Online reports whether a backend of the pool answers.
func (p *Pool) Online() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.online()
}

// All are the pool's members, those that have not answered yet included.
func (p *Pool) All() map[*Member]bool {
	members := p.view.Load().all
	all := make(map[*Member]bool, len(members))
	for _, m := range members {
		all[m] = true
	}
	return all
}

// Discovered are the addresses that only the dynamic source named and that are members
// still.
func (p *Pool) Discovered() (list []address.URI) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.machine.members {
		if m.dynamic {
			list = append(list, m.URI)
		}
	}
	return list
}
