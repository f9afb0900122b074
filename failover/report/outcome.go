// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

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

// Failed reports whether an attempt that ended so failed because of its backend.
func (o Outcome) Failed() bool {
	switch o {
	case DialFailed, Lost, StreamReset, Hung:
		return true
	default:
		return false
	}
}

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
