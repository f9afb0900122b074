// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"errors"
	"net"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestUnsureConnLooksBeforeItWrites: a request that could not be sent again is
// not written to a connection whose end has arrived, although net/http, which
// learns of it on another goroutine, still offers it.
func TestUnsureConnLooksBeforeItWrites(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(nc, newBackend(new(failover.Member), nil), false)
	defer c.Close()
	backend, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()

	c.unsure.Store(true)
	if n, err := c.Write([]byte("x")); n != 1 || err != nil {
		t.Fatalf("on an open connection: wrote %d, %v", n, err)
	}
	if err := backend.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the end has arrived", c.ended)
	c.unsure.Store(false)
	if n, err := c.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("what may be sent again: wrote %d, %v", n, err)
	}
	c.unsure.Store(true)
	if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, errPoisoned) {
		t.Errorf("what may not be sent again: wrote %d, %v", n, err)
	}
}
