// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"io"
	"net"
	"testing"
)

// TestClientPresent: what the system knows of a client's connection.
func TestClientPresent(t *testing.T) {
	for name, leave := range map[string]func(c *net.TCPConn){
		"stays":      nil,
		"closes":     func(c *net.TCPConn) { _ = c.Close() },
		"resets":     func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"half-close": func(c *net.TCPConn) { _ = c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			if leave == nil {
				if !PeerPresent(Raw(server)) {
					t.Error("the client is there")
				}
				return
			}
			leave(c.(*net.TCPConn))
			_, _ = io.Copy(io.Discard, server) // until it is heard here
			if PeerPresent(Raw(server)) {
				t.Error("the client has left")
			}
		})
	}
}
