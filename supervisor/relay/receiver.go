// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Receiver is what a replaced process does with what it is handed. The functions are
// called one at a time.
type Receiver struct {
	// Sockets are the names of those that the process at the other end reads. It is told
	// when that begins, so before any datagram, and by each process that reads later.
	Sockets func(names []string)
	// Datagram came from a client on a socket; it is the function's.
	Datagram func(socket string, from netip.AddrPort, datagram []byte)
}

// Receive takes what comes until conn ends, which it does when no process is left that
// could read.
func (r Receiver) Receive(conn net.Conn) error {
	buf := make([]byte, maxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			return errBroken
		}
		switch buf[0] {
		case kindSockets:
			var names []string
			if err := json.Unmarshal(buf[1:n], &names); err != nil {
				return fmt.Errorf("%w: %w", errBroken, err)
			}
			r.Sockets(names)
		case kindDatagram:
			socket, from, datagram, err := decodeDatagram(buf[1:n])
			if err != nil {
				return err
			}
			r.Datagram(socket, from, append([]byte(nil), datagram...))
		}
	}
}

// tellTime is how long saying which clients are left may take.
const tellTime = time.Second

// Want says that from now on only the datagrams of these clients are needed. More than
// [MaxClients] cannot be said: it needs all of them then.
func Want(conn net.Conn, clients []netip.AddrPort) error {
	if len(clients) > MaxClients {
		return nil
	}
	list, err := json.Marshal(clients)
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(tellTime))
	_, err = conn.Write(list)
	return err
}
