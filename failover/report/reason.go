// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

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
