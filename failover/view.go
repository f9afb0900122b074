// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

// What a view says of a member. Without any of these no request may choose it.
const (
	flagOpen    uint8 = 1 << iota // may be chosen like any other
	flagTrial                     // came back: one safe request at a time may try it
	flagAny                       // with flagTrial: also an unsafe one, since no safe one came
	flagSuspect                   // lost a request: only safe ones may try it
	flagLast                      // chosen only when nothing else is left, through the gate
	flagSlow                      // with flagLast: dials are pending, a few more are allowed
	flagHeld                      // with flagLast: only when not even such others are left
	flagHome                      // calls its clients home: an exception to it ends
)

// view is the machine's state as the request path sees it, immutable. Requests
// choose by it without any lock.
type view struct {
	*order
	// all are also those that are not proved yet, by serial.
	all   []*Member
	flags []uint8
	// open is how many members have flagOpen.
	open int
	// current is where all clients are with affinity pool, and forced where the
	// operator sent them; -1 for none.
	current, forced int
	// trial is the priority member that looks for a safe request to prove that
	// it is home; -1 for none.
	trial int
	// sent has, for each member, the one its clients were sent to, or -1; nil when
	// there is none.
	sent []int32
	// gated sends every request through the queue: others wait there before it.
	gated bool

	affinity address.AffinityKind
	overflow bool          // the rule of twice the mean applies
	clocked  bool          // time without a connection has to be measured
	timeout  time.Duration // the time a request may be without one; with clocked
	poolKey  uint64
}

// bucket is the bucket of the client that r comes from.
func (v *view) bucket(r *Request) uint32 {
	if v.affinity == address.AffinityPool {
		return affinity.BucketOf(v.poolKey)
	}
	return affinity.BucketOf(r.Key)
}

// find is the index of a member, or -1 when it is not in this view.
func (v *view) find(m *Member) int {
	i := int(m.shown.index.Load())
	if i < 0 || i < len(v.members) && v.members[i] == m {
		return i
	}
	// The list is just changing, and the index is that of the next view.
	if i, ok := v.byName[m.Name]; ok && v.members[i] == m {
		return i
	}
	return -1
}

// at is find for the machine, whose own decisions are not shown yet: -1 also for nil.
func (v *view) at(m *Member) int {
	if m == nil {
		return -1
	}
	if i, ok := v.byName[m.Name]; ok && v.members[i] == m {
		return i
	}
	return -1
}

// remembers reports whether exceptions of single clients are stored in the pool.
func (v *view) remembers() bool {
	return v.affinity == address.AffinityClientIP || v.affinity == address.AffinityHeader
}
