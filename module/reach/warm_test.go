// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"net/http"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

func withBackup(o *address.Options) { o.Backup = true }

// backup is what status says of the first member's warm connection.
func (w tested) backup() string { return w.pool.Status().Upstreams[0].Backup }

// TestWarmConnection: the first request after a failover finds it open, and it is
// replaced.
func TestWarmConnection(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			remote := make(chan string, 10)
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodOptions {
					remote <- r.RemoteAddr
				}
			})
			config := setup{options: withBackup}
			if secure {
				s.StartTLS()
				config.transport = map[string]any{"tls": map[string]any{"insecure_skip_verify": true}}
			} else {
				s.Start()
			}
			w := newTested(t, config, s.Listener.Addr().String())
			m := w.members[0]
			b := w.Backend(m)
			w.Warm([]*failover.Member{m})
			ready := func() *warmConn {
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.ready
			}
			testwait.Until(t, "a connection is warm", func() bool { return ready() != nil })
			if got := w.backup(); got != warmReady {
				t.Errorf("status says %q", got)
			}
			held := ready().LocalAddr().String()
			w.send(t, m)
			if got := <-remote; got != held {
				t.Errorf("the request came from %s, not on the warm connection %s", got, held)
			}
			testwait.Until(t, "there is another one", func() bool { w := ready(); return w != nil && w.LocalAddr().String() != held })
			w.Warm(nil)
			testwait.Until(t, "none is held", func() bool { return w.backup() == warmNone })
			if ready() != nil {
				t.Error("a connection is still offered")
			}
		})
	}
}

// TestWarmConnectionThatDies is replaced, and one that is never kept is given up.
func TestWarmConnectionThatDies(t *testing.T) {
	closes := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	closes.Start()
	w := newTested(t, setup{options: withBackup}, closes.Listener.Addr().String())
	m := w.members[0]
	w.Warm([]*failover.Member{m})
	testwait.Until(t, "status says that it is refused", func() bool { return w.backup() == warmRefused })
	if nc := w.Backend(m).takeWarm(); nc != nil {
		t.Error("a connection was offered that the backend closes")
	}
}

// TestConnectionsOfClientsAreNotHeld: where a connection names a client, or TLS asks
// for what only a request knows, none is held for another one.
func TestConnectionsOfClientsAreNotHeld(t *testing.T) {
	for name, transport := range map[string]map[string]any{
		"PROXY protocol": {"proxy_protocol": "v2"},
		"server name":    {"tls": map[string]any{"server_name": "{http.request.header.X-Name}"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTested(t, setup{transport: transport, options: withBackup}, proxytest.DeadAddress(t))
			w.Warm(w.members)
			if n := len(w.warmers.all); n != 0 {
				t.Errorf("%d connections are held", n)
			}
		})
	}
}
