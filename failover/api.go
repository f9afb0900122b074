// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// Availability is what the carrier's own checks say of a member: Caddy's health
// checks, circuit breaker and max_requests.
type Availability uint8

// The values of Availability.
const (
	Available Availability = iota
	Full                   // passed over without moving the client
	Unhealthy              // like down, for this request
	Foreign                // the carrier cannot reach this member at all
)

// Checker is asked about members before one is chosen. It must not block. It is
// asked in the goroutine that calls Next, and while the request waits in the pool's
// own, which may still be asking for a moment after Next has returned.
type Checker interface {
	Check(m *Member) Availability
}

// Outcome is how an attempt ended.
type Outcome uint8

// The outcomes of an attempt.
const (
	// Answered: a response header arrived, whatever its status.
	Answered Outcome = iota
	// DialFailed: no connection could be made. The member goes down.
	DialFailed
	// DialAborted: the attempt ended before a connection was there, for no
	// fault of the member: the client left, or a limit of ours.
	DialAborted
	// Lost: the connection broke after something of the request was written and
	// before its response began.
	Lost
	// LostReused: a reused connection ended without a byte; says nothing about
	// the member. The next attempt may go to the same member once more.
	LostReused
	// StreamReset: the backend ended the request's stream, and goes on with the others
	// on its connection (HTTP/2, HTTP/3). It says nothing about the member, but the
	// request is not sent there again.
	StreamReset
	// Hung: a hang verdict released the call.
	Hung
	// Neutral: says nothing about the member: client left, error reading the
	// client's body, local fault, our own deadline.
	Neutral
)

// String names the outcome as metrics do.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case DialFailed:
		return "dial_failed"
	case DialAborted:
		return "dial_aborted"
	case Lost:
		return "lost"
	case LostReused:
		return "reattached"
	case StreamReset:
		return "stream_reset"
	case Hung:
		return "hung"
	default:
		return "neutral"
	}
}

// Reason is why a request got no member.
type Reason uint8

// The reasons.
const (
	ReasonTimeout    Reason = iota + 1 // option timeout, the first 5 s, or Request.Deadline
	ReasonExhausted                    // max_reconnect_attempts
	ReasonTooMany                      // max_waiting
	ReasonDrained                      // every member is drained
	ReasonNoFailover                   // max_reconnect_attempts 0: the one backend failed
	ReasonSpent                        // written to every member, or to three
	ReasonClosed                       // the pool or its process is stopping; waiting was interrupted
	ReasonForeign                      // the carrier cannot reach any member for this request
)

// String names the reason as logs and errors show it.
func (r Reason) String() string {
	switch r {
	case ReasonTimeout:
		return "no backend within the time allowed"
	case ReasonExhausted:
		return "the reconnect attempts are exhausted"
	case ReasonTooMany:
		return "too many requests are waiting for a backend"
	case ReasonDrained:
		return "all drained: the operator took every backend out of service"
	case ReasonNoFailover:
		return "the backend failed and max_reconnect_attempts is 0"
	case ReasonSpent:
		return "the request was written to every backend that may get it"
	case ReasonClosed:
		return "the pool is stopping"
	case ReasonForeign:
		return "the pool has none of the backends that this request may get"
	default:
		return "unknown reason"
	}
}

// UnavailableError says that a request gets no member.
type UnavailableError struct {
	Pool   string
	Reason Reason
	// RetryAfter is one wait of the pool in whole seconds, at least one. Clients
	// are to be told a random time from there to its double, so that they do not
	// return together.
	RetryAfter time.Duration
	// Last is the last failure of a member in this pool, if any.
	Last error
}

func (e *UnavailableError) Error() string {
	text := "pool " + address.Quote(e.Pool) + ": " + e.Reason.String()
	if e.Last != nil {
		text += ": " + e.Last.Error()
	}
	return text
}

// Unwrap is the last failure of a member.
func (e *UnavailableError) Unwrap() error { return e.Last }

// ErrClientGone says that Request.Present answered no while the request waited.
var ErrClientGone = errors.New("client has left")

// PingResult is a backend's answer to a ping.
type PingResult struct {
	// Status is the HTTP status; 0 when the protocol has none (HTTP/2 PING).
	Status int
	// Err is nil when the backend answered, whatever the status. One that is or
	// wraps context.DeadlineExceeded, or a net.Error with Timeout, says that no
	// answer came in time.
	Err error
	// Unanswered says that there was a connection, and no answer in time: the
	// backend may be busy. Without it no connection could be made.
	Unanswered bool
	// Refused says that the backend's host refused the connection: nothing listens,
	// but the host lives, and so may requests that the backend has.
	Refused bool
	// Neutral says that Err is a local fault (descriptors, ports), which says
	// nothing about the backend.
	Neutral bool
}

// Carrier reaches members on the pool's behalf. As with everything of the carrier's
// that the pool calls (Checker, Present, Emit, Changed, the logger, the errors that
// it is given), no lock of the pool's is held then: all but Close may be called back.
type Carrier interface {
	// Ping sends the pool's ping to m on a new connection and returns its answer.
	// It obeys ctx, and has a limit of its own.
	Ping(ctx context.Context, m *Member) PingResult
	// Release ends every call that is blocked on m after a hang verdict.
	Release(m *Member)
	// Warm says which members shall have a warm connection now, all others none.
	// The carrier makes, checks and refills them; it must not block here.
	Warm(members []*Member)
}

// Event is a change that a pool tells of, once per change.
type Event struct {
	// Name: failover_interrupted, failover_resumed, failover_failback,
	// failover_exhausted, failover_in_doubt, failover_membership.
	Name string
	// Data has plain, serialisable values; pool is always there. Failure events
	// carry code (FAILOVER or DISCONNECT) and failed_over (bool).
	Data map[string]any
}

// Config describes a pool.
type Config struct {
	Name string
	URIs []address.URI // configured addresses, in order, without duplicates
	// Dynamic says that the configuration also has a source that names addresses
	// for each request: see Discover.
	Dynamic bool
	Options address.Options
	Carrier Carrier
	Logger  *slog.Logger
	// Emit may be nil. It is called from the pool's own goroutine and must not block.
	Emit func(Event)
	// Changed, when not nil, is called after the state worth keeping (Snapshot)
	// has changed. It must not block.
	Changed func()
}
