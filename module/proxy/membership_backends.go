// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
)

// Backends is how a follower reaches the backends of its pool, and what one
// configuration says of them. Its values are compared: each configuration has one
// of its own. It is called from several goroutines, and never with a lock held.
type Backends interface {
	// Options are those of the pool. They are not changed.
	Options() *address.Options
	// Scheme is the one that all addresses of the pool have.
	Scheme() string
	Logger() *zap.Logger
	// MayJoin returns why an announced address may not join the pool, nil if it
	// may: an error of package membership, ErrOwnNetwork or ErrUncheckable.
	MayJoin(u address.URI) error
	// Askable reports whether a connection to a backend can be opened without a
	// request of a client.
	Askable() bool
	// Open opens a connection to a member as requests do, TLS included.
	Open(ctx context.Context, m *failover.Member, path string) (*Line, error)
	// Prune forgets the backends of members that are gone, once nothing goes on
	// there.
	Prune(pool *failover.Pool)
}

// Line is a new connection to a backend, with the question to ask on it: a GET
// request as it goes on the wire.
type Line struct {
	Conn    net.Conn
	HTTP2   bool // the connection speaks it; otherwise HTTP/1
	Request *http.Request
}

// The reasons, besides those of package membership, for which an address may not
// join.
var (
	ErrOwnNetwork  = errors.New("it is a balancer of this network")
	ErrUncheckable = errors.New("this transport resolves names by itself, so where the name leads cannot be checked: only IP addresses may be announced")
)
