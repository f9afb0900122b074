// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"iter"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
)

// reach lets the sources of a pool reach its backends through one of its handlers.
type reach struct{ f *Failover }

func (r reach) Options() *address.Options { return &r.f.options }

func (r reach) Scheme() string { return r.f.transport.scheme() }

func (r reach) Logger() *zap.Logger { return r.f.logger }

func (r reach) MayJoin(u address.URI) error { return r.f.mayJoin(u) }

func (r reach) Askable() bool { return r.f.transport.http != nil && !r.f.transport.nameless }

func (r reach) Open(ctx context.Context, m *failover.Member, path string) (*Line, error) {
	f, b := r.f, r.f.backends.of(m)
	p := &pingSpec{dial: dialInfoOf(b.upstream, m.URI), host: m.URI.Host}
	p.request = f.pingRequest(http.MethodGet, path, m.URI)
	nc, err := f.transport.open(ctx, b, p)
	if err != nil {
		return nil, err
	}
	return &Line{Conn: nc, HTTP2: f.transport.speaks(nc) == protoHTTP2, Request: p.request}, nil
}

func (r reach) Prune(pool *failover.Pool) { r.f.backends.prune(pool) }

// followers are those of the pools in use, by the names of the pools.
func (r *poolRegistry) followers() iter.Seq2[string, *follower] {
	return func(yield func(string, *follower) bool) {
		for _, e := range r.list() {
			if !yield(e.name, e.members) {
				return
			}
		}
	}
}

// Interface guard
var _ Backends = reach{}
