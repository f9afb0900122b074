// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// Checker is asked about members before one is chosen. It must not block. It is
// asked in the goroutine that calls Next, and while the request waits in the pool's
// own, which may still be asking for a moment after Next has returned.
type Checker interface {
	Check(m *Member) report.Availability
}

// ErrClientGone says that Request.Present answered no while the request waited.
var ErrClientGone = errors.New("client has left")

// Carrier reaches members on the pool's behalf. As with everything of the carrier's
// that the pool calls (Checker, Present, Emit, Changed, the logger, the errors that
// it is given), no lock of the pool's is held then: all but Close may be called back.
type Carrier interface {
	// Ping sends the pool's ping to m on a new connection and returns its answer.
	// It obeys ctx, and has a limit of its own.
	Ping(ctx context.Context, m *Member) report.PingResult
	// Release ends every call that is blocked on m after a hang verdict.
	Release(m *Member)
	// Warm says which members shall have a warm connection now, all others none.
	// The carrier makes, checks and refills them; it must not block here.
	Warm(members []*Member)
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
	Emit func(report.Event)
	// Changed, when not nil, is called after the state worth keeping (Snapshot)
	// has changed. It must not block.
	Changed func()
}
