// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"iter"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// atBackends lets the sources of a pool atBackends its backends through one of its handlers.
type atBackends struct{ f *Failover }

func (r atBackends) Options() *address.Options { return &r.f.options }

func (r atBackends) Scheme() string { return r.f.way.Scheme() }

func (r atBackends) Logger() *zap.Logger { return r.f.logger }

func (r atBackends) MayJoin(u address.URI) error { return r.f.mayJoin(u) }

func (r atBackends) Askable() bool { return r.f.way.Askable() }

func (r atBackends) Open(ctx context.Context, m *failover.Member, path string) (*sources.Line, error) {
	return r.f.way.Open(ctx, m, path)
}

func (r atBackends) Prune(pool *failover.Pool) { r.f.way.Prune(pool) }

// followers are those of the pools in use, by the names of the pools.
func (r *poolRegistry) followers() iter.Seq2[string, *sources.Follower] {
	return func(yield func(string, *sources.Follower) bool) {
		for _, e := range r.list() {
			if !yield(e.name, e.members) {
				return
			}
		}
	}
}

// Interface guard
var _ sources.Backends = atBackends{}
