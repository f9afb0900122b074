// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// UnknownError says that an address is not in the pool.
type UnknownError struct {
	Pool string
	URI  string
	// Known are the addresses that are in the pool.
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("pool %s has no address %s: it has %s", address.Quote(e.Pool), address.Quote(e.URI), strings.Join(e.Known, ", "))
}

// ErrLast says that the last address of a pool is never removed.
var ErrLast = errors.New("the last address of a pool is never removed")

var errPriority = errors.New("it is a priority backend, which its clients do not leave while it serves")

// Failover moves all clients to one member, or, when to is nil, to the next one
// in the order. That holds until Failback, or until the member breaks or is
// drained. New requests move, nothing in flight is cut.
func (p *Pool) Failover(to *address.URI) error { return p.feed(inFailover{to}).err }

// Failback ends a manual failover and calls all clients back to their own
// members, priority members included as soon as they answer.
func (p *Pool) Failback() error { return p.feed(inFailback{}).err }

// Rebalance calls clients back to their own members as soon as those serve. A
// priority member that has to prove itself first still does.
func (p *Pool) Rebalance() { p.feed(inRebalance{}) }

// Find is the member with that address; without a scheme the dial address decides.
func (p *Pool) Find(u address.URI) (*Member, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.known(u)
}

// SetDrained says which addresses, by name, are drained and by whom, and that all
// others are not. It holds for those that become members later, too. A member that is drained
// gets no new requests, those in progress go on; one that is resumed is pinged at
// once, and is back when it answers.
func (p *Pool) SetDrained(by map[string]string) { p.feed(inDrains{by}) }

// AddURIs adds addresses at run time. They get requests from their first
// answered ping on. It returns how many were new.
func (p *Pool) AddURIs(uris []address.URI, rebalance bool) (added int, err error) {
	out := p.feed(inAdd{uris, rebalance})
	return out.added, out.err
}

// RemoveURIs removes addresses at run time, also configured ones. Their
// requests in progress go on. The last address is never removed: when all are
// named the error is ErrLast, and none is removed. It returns how many were
// removed.
func (p *Pool) RemoveURIs(uris []address.URI) (removed int, err error) {
	out := p.feed(inRemove{uris})
	return out.removed, out.err
}

// Discover makes the addresses that the configuration's dynamic source names now
// members, and forgets those that only it had named and has not named for ten
// minutes. Configured addresses and the operator's own stay what they are, and what
// the operator removed stays away while anything else is left. Nothing happens
// while the configuration in effect has no such source. It returns how many came
// and went; on an error nothing changed.
func (p *Pool) Discover(uris []address.URI) (added, removed int, err error) {
	out := p.feed(inDiscover{uris})
	return out.added, out.removed, out.err
}

// UpdateURIs makes the addresses that sources name members: named ones that are
// new are added, and those that none of them names any more are removed, except
// the configured ones, the operator's own, and the last of the pool. What the
// operator removed stays away. It returns how many came and went; on an error
// nothing changed.
func (p *Pool) UpdateURIs(s *membership.Membership, rebalance bool) (added, removed int, err error) {
	out := p.feed(inUpdate{s.Named(), s.Snapshot(), rebalance})
	return out.added, out.removed, out.err
}

// Reconnect moves the clients of from to another member, because that backend
// asks for it. They come back when the clients are called home: after ten
// minutes with randomize, by priority_backup, Rebalance or Failback. Requests in
// progress go on. No address is lost. A priority member is not obeyed, and one that
// names itself only ends what it asked for before.
func (p *Pool) Reconnect(from *Member, to address.URI) error {
	return p.feed(inReconnect{from, to}).err
}
