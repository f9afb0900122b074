// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// moving is a broker whose sites are to be elsewhere after a reload.
const moving = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	http_port 1
	https_port {$TLS}
	broker {
		standby %d
		probation 10m
	}
}
%s`

const (
	narrow = `
http://:{$PORT} {
	bind 127.0.0.1
	respond narrow
}
http://:{$LEFT} {
	bind 127.0.0.1 unix/{$SOCKET}
	respond left
}
localhost {
	bind 127.0.0.1
	tls internal
	respond secure
}
`
	wide = `
http://:{$PORT} {
	respond wide
}
`
)

// TestProbationOfAddresses: where a configuration no longer listens, nobody waits for the
// one before while that may come back: a wider address of the same port gets its users, on
// another port they are refused. And when it comes back, it listens there again.
func TestProbationOfAddresses(t *testing.T) {
	for standby := range 3 {
		t.Run(fmt.Sprintf("standby %d", standby), func(t *testing.T) {
			t.Parallel()
			port, left, secure := freePort(t), freePort(t), freePort(t)
			socket := filepath.Join(t.TempDir(), "left.sock")
			b := startBroker(t, fmt.Sprintf(moving, standby, narrow), "PORT="+port, "LEFT="+left, "SOCKET="+socket, "TLS="+secure)
			pid := awaitActive(t, b, 0)
			if standby > 0 {
				awaitStandby(t, b)
			}
			addr := "127.0.0.1:" + port
			gone := []*harness.Client{{Addr: "127.0.0.1:" + left}, {Network: "unix", Addr: socket, Host: "left:" + left}}
			serves := func(answer string) {
				t.Helper()
				if got := get(t, addr).Body; got != answer {
					t.Errorf("%s answered %q, not %q", addr, got, answer)
				}
			}
			before := func() {
				t.Helper()
				// Each serves as soon as the process has its socket. Who came to the wide address
				// while no process served is cut off with it.
				h3 := newHTTP3Client("https://localhost:" + secure)
				defer h3.Close()
				for _, asked := range []struct {
					client harness.Sender
					answer string
				}{{&harness.Client{Addr: addr}, "narrow"}, {gone[0], "left"}, {gone[1], "left"}, {h3, "secure"}} {
					if err := harness.Until(t.Context(), 10*time.Second, func() error {
						r := asked.client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET"})
						if r.Body != asked.answer {
							return fmt.Errorf("%s %q (%w), want %q", r.Fate, r.Body, r.Err, asked.answer)
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				}
			}
			awaitTLS(t, "127.0.0.1:"+secure)
			before()

			run := (&harness.Load{Client: &harness.Client{Addr: addr}, Rate: 200, Name: "n"}).Start(t.Context())
			if out, err := reload(t, b, fmt.Sprintf(moving, standby, wide)); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			second := awaitActive(t, b, pid)
			awaitStandby(t, b)
			sent(t, run, 400)
			// Closing a socket resets the clients that are just connecting, and no others.
			resets := 0
			for _, r := range run.Stop().Failed() {
				if resets++; r.Fate != harness.Reset || resets > 2 {
					t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
				}
			}
			serves("wide")
			for _, c := range gone {
				network := "tcp"
				if c.Network != "" {
					network = c.Network
				}
				conn, err := net.Dial(network, c.Addr)
				if err == nil {
					_ = conn.Close()
				}
				if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
					t.Errorf("%s, which nobody serves: %v", c.Addr, err)
				}
			}
			if conn, err := tls.Dial("tcp", "127.0.0.1:"+secure, nil); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("the port of HTTPS, which nobody serves: %v, %v", conn, err)
			}

			if err := killProcess(t, second); err != nil {
				t.Fatal(err)
			}
			third := awaitActive(t, b, second)
			before()
			// It has its addresses for good: also where it is the next that takes over.
			if err := killProcess(t, third); err != nil {
				t.Fatal(err)
			}
			awaitActive(t, b, third)
			before()
		})
	}
}
