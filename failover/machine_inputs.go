// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// pingKind says why a member is pinged.
type pingKind uint8

const (
	pingProbe  pingKind = iota // to learn whether it is there
	pingWatch                  // because a request makes no progress
	pingVerify                 // because it lost a request, or a trial takes its time
)

// The inputs of the machine. Each is a fact or an order of the operator; what
// follows from it is decided in step alone.
type (
	input any

	inNothing struct{}
	inStart   struct{}
	// inTick says that time has passed. total is how many requests are on members;
	// moved, that exceptions of clients changed since the last tick.
	inTick struct {
		total int64
		moved bool
	}
	inBusy      struct{} // a request came after a time without any
	inPlace     struct{} // a place became free while a request waits for one
	inInterrupt struct{}
	inEcho      struct{ heard chan<- struct{} } // wants to be heard of by the pool's goroutine

	inConnected struct {
		m     *Member
		epoch uint32
	}
	inEnd struct {
		m       *Member
		outcome report.Outcome
		epoch   uint32
		gate    uint32 // the party with which it passed the gate; 0 for none
		body    bool   // with a body on its way
		trial   bool
		status  int
		failure *report.Failure // nil for an answer
		loss    *loss           // with Lost
		final   bool            // no other member may tell whose fault it was
	}
	// inBlame says that a request which was lost has been answered by another member.
	inBlame struct{ *loss }
	inMoved struct{ from, to *Member }
	inPing  struct {
		m       *Member
		kind    pingKind
		epoch   uint32
		asked   uint64
		result  report.PingResult
		failure *report.Failure // of the result
	}
	inAsk struct{ w *waiter }
	// inConsulted is what the carrier answered to actConsult.
	inConsulted struct{ asked []consultation }
	inLeave     struct {
		w      *waiter
		reason report.Reason
	}

	inRebind  struct{ cfg Config }
	inRestore struct{ s report.Snapshot }

	inFailover  struct{ to *address.URI } // nil for the next one
	inFailback  struct{}
	inRebalance struct{}
	inDrains    struct{ by map[string]string } // all that are drained, and who drained them
	inAdd       struct {
		uris      []address.URI
		rebalance bool
	}
	inRemove   struct{ uris []address.URI }
	inDiscover struct{ uris []address.URI }
	inUpdate   struct {
		named     []membership.Named
		said      map[string]membership.SourceSnapshot
		rebalance bool
	}
	inReconnect struct {
		from *Member
		to   address.URI
	}
)

// The actions of the machine, carried out by the pool's goroutine in order.
type (
	action any

	actPing struct {
		m       *Member
		kind    pingKind
		epoch   uint32
		asked   uint64
		timeout time.Duration
	}
	actRelease struct{ m *Member }
	actWarm    struct{ members []*Member }
	actEmit    struct{ event report.Event }
	actLog     struct {
		level slog.Level
		msg   string
		attrs []any
	}
	actChanged struct{}
	actEcho    struct{ heard chan<- struct{} }
	actConsult struct {
		asked   []consultation
		members []*Member
	}
)

// output is what came of a step. What requests see of it (the view, and what is
// shown of each member) is in the machine's state; the pool shows it first, then
// carries out abandoned and grants at once, and actions later.
type output struct {
	actions   []action
	grants    []decision // in order
	abandoned []*Member  // all that dial them wait no more
	retired   []*Member  // they left the list in this step

	err            error // of an operation
	added, removed int   // members, by an operation
	running        bool  // an echo will follow
}
