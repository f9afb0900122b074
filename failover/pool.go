// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"net/netip"
	"time"
)

// Pool is a set of members and what is known of them.
type Pool struct{}

// New makes a pool. Nothing runs before Start.
func New(cfg Config) (*Pool, error) { panic("stub") }

// Start starts the pool's own goroutine.
func (p *Pool) Start() { panic("stub") }

// Close ends the pool: waiting requests get ReasonClosed, nothing is left running.
func (p *Pool) Close() { panic("stub") }

// Rebind gives a running pool the carrier, logger and callbacks of a new
// configuration. Options and configured addresses of cfg replace the old ones;
// what the pool learnt stays for members that stay.
func (p *Pool) Rebind(cfg Config) error { panic("stub") }

// Interrupt ends all waiting with ReasonClosed, and lets no request wait any
// more; choosing goes on. A draining or stopping process calls it.
func (p *Pool) Interrupt() { panic("stub") }

// Next returns the member for the request's next attempt. It waits when none is
// eligible, as far as options, deadline and context allow; the error is an
// *UnavailableError, ErrClientGone or ctx's. Every Next that returned a member
// is followed by exactly one End.
func (p *Pool) Next(ctx context.Context, r *Request) (*Member, error) { panic("stub") }

// Connected says that the attempt has its connection: time without one
// (option timeout) ends here.
func (p *Pool) Connected(r *Request) { panic("stub") }

// Written says that something of the request may have been written to the
// attempt's member: the member is not eligible for this request any more.
func (p *Pool) Written(r *Request) { panic("stub") }

// End ends the request's attempt. err is shown to users as the member's last error.
func (p *Pool) End(r *Request, o Outcome, err error) { panic("stub") }

// Done frees the member's place when the whole exchange is over, response body
// included; for outcomes other than Answered End has done so already.
func (p *Pool) Done(r *Request) { panic("stub") }

// MovedTo is the Name of the member that the client of this answered request
// has been moved to, or "" when it is on its own: what a cookie has to say.
func (r *Request) MovedTo() string { panic("stub") }

// KeyOf hashes an affinity key.
func KeyOf(s string) uint64 { panic("stub") }

// KeyOfAddr hashes a client address, IPv6 by its /64.
func KeyOfAddr(a netip.Addr) uint64 { panic("stub") }

// Touch notes that a byte came from the member. It is called for every read.
func (m *Member) Touch() { panic("stub") }

// SetBackup notes what status says of the member's warm connection: "", "warm",
// "connecting", "refused".
func (m *Member) SetBackup(state string) { panic("stub") }

// Limits are the member's effective options: nested, then its own, then defaults.
func (m *Member) Limits() Limits { panic("stub") }

// Limits are address options with nothing left open.
type Limits struct {
	MaxRequests           int
	ConnectionTimeout     time.Duration
	SoTimeout             time.Duration
	MaxInactivityDuration time.Duration
}
