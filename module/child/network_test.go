// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"net"
	"testing"
)

// A child whose parent lends no sockets opens its own: it accepts when it is activated,
// and when it leaves nothing is left on which a user could wait.
func TestOwnSocket(t *testing.T) {
	t.Parallel()
	rt := newChildRuntime(nil)
	opened, err := rt.openOwn(t.Context(), "tcp", "127.0.0.1:0", net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ln := opened.(net.Listener)
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = c.Close()
		}
		accepted <- err
	}()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	select {
	case err := <-accepted:
		t.Fatalf("it accepted before it was activated: %v", err)
	default:
	}
	rt.activate()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	rt.leave()
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("its address takes connections after it has left")
	}

	packets, err := rt.openOwn(t.Context(), "udp", "127.0.0.1:0", net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := packets.(net.PacketConn).Close(); err != nil {
		t.Error(err)
	}
}
