// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import "encoding/binary"

const (
	// leastOfClients is the shortest connection id that a client makes up for a server
	// that it does not know yet (RFC 9000, section 7.2). Those of our servers are shorter.
	leastOfClients = 8
	quicVersion2   = 0x6b3343cf
)

// Begins reports whether a datagram begins a QUIC connection, or is no QUIC at all: one
// under an id that its client has made up, or one that answers a server's Retry. All
// else belongs to a connection that exists.
func Begins(datagram []byte) bool {
	if len(datagram) == 0 {
		return true
	}
	if datagram[0]&0x80 == 0 {
		return datagram[0]&0x40 == 0
	}
	// flags, version, the server's id and the client's, each after its length
	if len(datagram) < 6 {
		return true
	}
	server, rest, ok := field(datagram[5:])
	if !ok || len(server) >= leastOfClients {
		return true
	}
	_, rest, ok = field(rest)
	initial := datagram[0] >> 4 & 3
	if binary.BigEndian.Uint32(datagram[1:]) == quicVersion2 {
		initial = (initial + 3) & 3 // there it is one more
	}
	// The length of a token is next, which no Initial within a connection has.
	return !ok || initial == 0 && (len(rest) == 0 || rest[0] != 0)
}
