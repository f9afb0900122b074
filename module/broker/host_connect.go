// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"net"
	"sync/atomic"
)

// connector is what gets the connections that children ask for.
var connector atomic.Pointer[func(child, address string, conn net.Conn) error]

// ServeConnections makes f get the connections that children ask for, and what for. It
// owns them, unless it refuses them with an error, and must not block.
func ServeConnections(f func(child, address string, conn net.Conn) error) { connector.Store(&f) }

// connected takes a connection of the child.
func (c *Hosted) connected(conn net.Conn, address string) error {
	f := connector.Load()
	if f == nil {
		return fmt.Errorf("connecting to the broker: there is no %q", address)
	}
	return (*f)(c.name, address, conn)
}
