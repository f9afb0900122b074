// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestWarmConnection: the first request after a failover finds it open, and it is
// replaced.
func TestWarmConnection(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			remote := make(chan string, 10)
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodOptions {
					remote <- r.RemoteAddr
				}
			}
			transport := option(func(map[string]any) {})
			var address string
			if secure {
				var s *httptest.Server
				s, transport = tlsBackend(t, false, handler)
				address = s.Listener.Addr().String()
			} else {
				address = newPingBackend(t, handler)
			}
			p := newProxy(t, transport, upstreams(address), set("backup", true)).quiet()
			m := p.policy.claim.entry.pool.Members()[0]
			b := p.policy.way.Backend(m)
			p.policy.way.Warm([]*failover.Member{m})
			ready := func() *warmConn {
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.ready
			}
			testwait.Until(t, "a connection is warm", func() bool { return ready() != nil })
			if s := p.policy.claim.entry.pool.Status().Upstreams[0].Backup; s != warmReady {
				t.Errorf("status says %q", s)
			}
			held := ready().LocalAddr().String()
			if a := p.do("POST", ""); a.status != 200 {
				t.Fatalf("got %+v", a)
			}
			if got := <-remote; got != held {
				t.Errorf("the request came from %s, not on the warm connection %s", got, held)
			}
			testwait.Until(t, "there is another one", func() bool { w := ready(); return w != nil && w.LocalAddr().String() != held })
			p.policy.way.Warm(nil)
			testwait.Until(t, "none is held", func() bool { return p.policy.claim.entry.pool.Status().Upstreams[0].Backup == warmNone })
			if ready() != nil {
				t.Error("a connection is still offered")
			}
		})
	}
}

// TestWarmConnectionThatDies is replaced, and one that is never kept is given up.
func TestWarmConnectionThatDies(t *testing.T) {
	closes := newPingBackend(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	p := newProxy(t, upstreams(closes), set("backup", true)).quiet()
	m := p.policy.claim.entry.pool.Members()[0]
	p.policy.way.Warm([]*failover.Member{m})
	testwait.Until(t, "status says that it is refused", func() bool {
		return p.policy.claim.entry.pool.Status().Upstreams[0].Backup == warmRefused
	})
	if nc := p.policy.way.Backend(m).takeWarm(); nc != nil {
		t.Error("a connection was offered that the backend closes")
	}
}
