// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// dialSlots is the length of the ring in which pending dials are counted by the
// tick they began at. It exceeds the age that makes a member suspect, so that
// old and new dials are not in one slot when it matters.
const dialSlots = 16

// DialWidth is how many dials may be pending at one member at first, pings apart:
// see Member.Queue.
const DialWidth = tracker.DialWidth

// Upload is one request body on its way to a member, whose Flow it changes.
type Upload = tracker.Upload

// Member is one backend of a pool. Its identity lasts as long as the pool, also
// over reloads, for the same scheme, host and port.
type Member struct {
	// URI is immutable. Its options are those the member was made with; what is
	// in effect now is told by Limits.
	URI address.URI
	// Name is what users see: scheme://host:port, or unix//path.
	Name string
	// Queue is where requests wait that dial the member.
	Queue tracker.DialQueue

	seed   uint64 // hash of Name, for the clients' orders
	backup atomic.Pointer[string]

	// What every request writes and reads; in as few cache lines as possible.
	_          [64]byte
	inProgress atomic.Int64 // places taken, each from Next to Done
	shown      shown
	trial      tracker.Slot                   // of the one request that may try it when it came back
	outcomes   [report.Counters]atomic.Uint64 // of attempts, by report.Counter
	dials      [dialSlots]atomic.Int32        // attempts without a connection, by the tick they began at

	_    [64]byte
	flow tracker.Flow
	_    [64]byte

	node // the machine's; guarded by the pool's mutex
}

// shown is what requests see of the machine's decisions about a member. Only the
// pool writes it, after each step.
type shown struct {
	limits      atomic.Pointer[Limits]
	maxRequests atomic.Int64              // of limits
	pending     atomic.Pointer[dialGroup] // of those that begin to dial now
	epoch       atomic.Uint32             // grows when the member goes down; older failures are stale
	index       atomic.Int32              // in the current view; -1 when it is not there
	restricted  atomic.Bool               // see Restricted
	watched     atomic.Bool               // not plainly up: Connected and Answered are news
}

// show makes requests see what the machine decided about the member.
func (m *Member) show() {
	s := &m.shown
	if *s.limits.Load() != m.limits {
		limits := m.limits
		s.limits.Store(&limits)
		s.maxRequests.Store(int64(limits.MaxRequests))
	}
	if s.epoch.Load() != m.epoch {
		s.epoch.Store(m.epoch)
	}
	if s.index.Load() != m.index {
		s.index.Store(m.index)
	}
	if s.restricted.Load() != m.restricted {
		s.restricted.Store(m.restricted)
	}
	if s.watched.Load() != m.watched {
		s.watched.Store(m.watched)
	}
}

// abandon ends the waiting of all that dial the member.
func (m *Member) abandon() { m.shown.pending.Swap(newDialGroup()).end() }

// dialGroup is what requests that dial a member have in common: the end of
// their waiting.
type dialGroup struct {
	waiting context.Context //nolint:containedctx // the many that wait need no goroutine each
	end     context.CancelFunc
}

func newDialGroup() *dialGroup {
	g := new(dialGroup)
	g.waiting, g.end = context.WithCancel(context.Background())
	return g
}

func newMember(u address.URI) *Member {
	m := &Member{URI: u, Name: u.Name(), seed: affinity.KeyOf(u.Name())}
	m.index = -1
	m.shown.pending.Store(newDialGroup())
	m.shown.limits.Store(new(Limits))
	m.show()
	return m
}

// Touch notes that a byte came from the member. It is called for every read.
func (m *Member) Touch() { m.flow.Reads.Add(1) }

// Flow is for the bodies of requests that are sent to the member.
func (m *Member) Flow() *tracker.Flow { return &m.flow }

// SetBackup notes what status says of the member's warm connection: "", "warm",
// "connecting", "refused".
func (m *Member) SetBackup(state string) { m.backup.Store(&state) }

// Limits are the member's effective options: nested, then its own, then defaults.
func (m *Member) Limits() Limits { return *m.shown.limits.Load() }

// reserve takes one of the member's places, if it has any left.
func (m *Member) reserve() bool {
	n := m.inProgress.Add(1)
	if most := m.shown.maxRequests.Load(); most > 0 && n > most {
		m.inProgress.Add(-1)
		return false
	}
	return true
}

// isFull reports whether the member has no place left.
func (m *Member) isFull() bool {
	most := int64(m.limits.MaxRequests)
	return most > 0 && m.inProgress.Load() >= most
}

// dialing is how many requests have chosen the member and no connection yet.
func (m *Member) dialing() (n int) {
	for i := range m.dials {
		n += int(m.dials[i].Load())
	}
	return n
}

// Limits are address options with nothing left open.
type Limits = address.Limits
