// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// listenAt counts the connections to an address until the test ends.
func listenAt(t *testing.T, addr string) *atomic.Int64 {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	touched := new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			touched.Add(1)
			_ = c.Close()
		}
	}()
	return touched
}

// hostsFile makes names of a test's own network known, and returns what changes
// them: other processes of this machine go on with their file.
func hostsFile(t *testing.T) (set func(text string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	set = func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("")
	if err := syscall.Mount(path, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/etc/hosts", 0) })
	return set
}

// What no backend may do, whatever update_uris_allow says: send the balancer to
// its own admin endpoint, its own listeners, its own network, this machine or a
// metadata service, be it by a name that leads there later.
func TestForbiddenAnnouncements(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		const metadata, good = "169.254.169.254", "10.77.0.253"
		ip(t, "addr add "+metadata+"/32 dev bridge")
		ip(t, "addr add "+good+netBits+" dev bridge")
		addMachine(t, "peer", "10.77.3.1")
		setHosts := hostsFile(t)
		setHosts(good + " later.test")
		srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		l, err := net.Listen("tcp", good+":80")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = srv.Serve(l) }()
		defer srv.Close()
		secret := freePort(t)
		touched := map[string]*atomic.Int64{
			"metadata": listenAt(t, metadata+":80"),
			"loopback": listenAt(t, "127.0.0.1:"+secret),
		}

		a := newAnnouncer(t, hubIP)
		port, gossip := freePort(t), gossipPort(t)
		front := newBroker(t, `{
	admin {$ADMIN}
	broker {
		ha_log off
		network {
			name front
			advertise http://{$HOST}:{$PORT}
			bind {$HOST}:{$GOSSIP}
			key 0123456789abcdef
		}
	}
}
http://:{$PORT} {
	reverse_proxy {$ANNOUNCER} {
		lb_policy failover {
			pool guarded
			affinity request
			update_uris_allow *:* 0.0.0.0/0:* [::/0]:*
		}
	}
}
`, "HOST="+hubIP, "PORT="+port, "GOSSIP="+gossip, "ANNOUNCER="+a.addr)
		front.MoveTo("", hubIP)
		if err := front.Start(); err != nil {
			t.Fatal(err)
		}
		awaitActive(t, front, 0)
		peer := newEdge(t, "edge1", "10.77.3.1", "key 0123456789abcdef", "seeds "+hubIP+":"+gossip)
		peer.MoveTo("peer", "10.77.3.1")
		peer.start(t)
		awaitMetric(t, front, positive, "/metrics", "caddy_broker_network_members")

		a.say(t, "http://"+front.AdminAddr(), "http://"+hubIP+":"+gossip, "http://"+hubIP+":"+port, "http://"+peer.addr,
			"http://127.0.0.1:"+secret, "http://localhost:"+secret, "http://[::1]:"+secret, "http://0.0.0.0:"+secret,
			"http://[::ffff:127.0.0.2]:"+secret, "http://"+metadata, "http://later.test")
		awaitMembers(t, front, "guarded", a.addr+" up", "later.test:80 up")
		const metrics = "/broker/children/default/admin/metrics"
		for reason, want := range map[string]float64{
			"own_socket":      2, // admin and gossip
			"own_network":     2, // itself and its peer
			"special_address": 6,
		} {
			got, err := front.Metric(t.Context(), metrics, "caddy_failover_uris_refused_total", `reason="`+reason+`"`)
			if err != nil || got != want {
				t.Errorf("%v refused as %s, want %v (%v)", got, reason, want, err)
			}
		}

		// The name that was good is not followed to where it leads now.
		setHosts(metadata + " later.test")
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		err = harness.Until(t.Context(), soon, func() error {
			get(t, "127.0.0.1:"+port)
			var pool struct {
				Upstreams []struct {
					URI       string `json:"uri"`
					State     string `json:"state"`
					LastError string `json:"last_error"`
				} `json:"upstreams"`
			}
			if err := front.Admin(t.Context(), "GET", "/broker/pools/guarded", &pool); err != nil {
				return err
			}
			for _, u := range pool.Upstreams {
				if strings.Contains(u.URI, "later.test") && u.State == "down" && strings.Contains(u.LastError, metadata) {
					return nil
				}
			}
			return fmt.Errorf("upstreams are %v", pool.Upstreams)
		})
		if err != nil {
			t.Error(err)
		}
		awaitMetric(t, front, func(n float64) bool { return n > 6 }, metrics, "caddy_failover_uris_refused_total", `reason="special_address"`)
		for name, n := range touched {
			if n.Load() != 0 {
				t.Errorf("the %s address was dialled %d times", name, n.Load())
			}
		}
		if strings.Contains(front.Process().Output(), `"method":"OPTIONS"`) {
			t.Error("the admin endpoint was pinged")
		}
	})
}
