// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// maxConnects bounds the connections of children that are served at a time.
const maxConnects = 32

// connects are the connections that children have asked for.
var connects struct {
	open  atomic.Int32
	serve atomic.Pointer[func(net.Conn)]
}

// ServeConsole makes serve get the connections of children that show the console on a
// site. It returns when such a connection has ended.
func ServeConsole(serve func(net.Conn)) { connects.serve.Store(&serve) }

// connected takes a connection of the child, if its configuration has what it is for: a
// child that is broken into gets no more power over its parent than the operator gave it.
func (c *Hosted) connected(conn net.Conn, address string) error {
	serve := connects.serve.Load()
	shown := Shown()
	switch {
	case address != parlance.ConnectConsole || serve == nil:
		return fmt.Errorf("connecting to the broker: there is no %q", address)
	case c.name != DefaultChild || shown == nil || !bytes.Contains(shown.JSON(), []byte(`"`+parlance.ConsoleHandler+`"`)):
		return errors.New("connecting to the broker's console: no site of the configuration has the handler " + parlance.ConsoleHandler)
	case connects.open.Add(1) > maxConnects:
		connects.open.Add(-1)
		return fmt.Errorf("connecting to the broker's console: there are %d connections already", maxConnects)
	}
	go func() {
		defer connects.open.Add(-1)
		(*serve)(conn)
	}()
	return nil
}
