// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// Backend is what one handler knows of one member: the upstream that Caddy
// proxies to, the connections to it and the dials under way. It makes it
// possible to end all that is blocked on the member at once.
type Backend struct {
	Member   *failover.Member
	Upstream *reverseproxy.Upstream

	mu    lockorder.Mutex[Backend]
	conns map[*Conn]struct{}
	dials map[*dialing]struct{}
	ready *warmConn // a warm connection nobody has taken yet

	pinging *blindPing // on its way through a transport that is not ours; or nil

	// hopeless: reaching it failed in a way that waiting does not cure.
	hopeless atomic.Bool
}

// dialing is one dial under way, name lookup included, or one attempt through a
// transport whose connections are not ours.
type dialing struct{ cancel context.CancelCauseFunc }

func newBackend(m *failover.Member, u *reverseproxy.Upstream) *Backend {
	return &Backend{
		Member: m, Upstream: u,
		conns: make(map[*Conn]struct{}),
		dials: make(map[*dialing]struct{}),
	}
}

func (b *Backend) add(c *Conn) {
	b.mu.Lock()
	b.conns[c] = struct{}{}
	b.mu.Unlock()
}

func (b *Backend) remove(c *Conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

func (b *Backend) startDial(cancel context.CancelCauseFunc) *dialing {
	d := &dialing{cancel: cancel}
	b.mu.Lock()
	b.dials[d] = struct{}{}
	b.mu.Unlock()
	return d
}

func (b *Backend) endDial(d *dialing) {
	b.mu.Lock()
	delete(b.dials, d)
	b.mu.Unlock()
}

// Block notes that something is blocked on the member until end is called; cancel
// ends it.
func (b *Backend) Block(cancel context.CancelCauseFunc) (end func()) {
	d := b.startDial(cancel)
	return func() { b.endDial(d) }
}

// Release ends everything that is blocked on the member: dials, and all
// connections with the requests on them.
func (b *Backend) Release(cause error) {
	b.mu.Lock()
	for d := range b.dials {
		d.cancel(cause)
	}
	conns := make([]*Conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for _, c := range conns {
		c.Abort(cause)
	}
}
