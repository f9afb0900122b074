// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

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

// Event is a change that a pool tells of, once per change.
type Event struct {
	// Name: failover_interrupted, failover_resumed, failover_failback,
	// failover_exhausted, failover_in_doubt, failover_membership.
	Name string
	// Data has plain, serialisable values; pool is always there. Failure events
	// carry code (FAILOVER or DISCONNECT) and failed_over (bool).
	Data map[string]any
}
