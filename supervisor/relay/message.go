// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"encoding/json"
	"errors"
	"net/netip"
)

// Messages of a reader begin with their kind. The other side sends lists of clients.
const (
	kindSockets  = 0 // a list of names, as JSON
	kindDatagram = 1 // socket and client, each after its length in a byte, then the payload
)

const (
	// maxMessage bounds a message; a datagram has at most 65,507 bytes.
	maxMessage = 68 << 10
	// MaxClients is how many clients a replaced process may name.
	MaxClients = 1024
)

var errBroken = errors.New("a message between processes is broken")

// encodeDatagram is the message for a datagram; ok is false for what cannot be said.
func encodeDatagram(socket string, from netip.AddrPort, datagram []byte) (message []byte, ok bool) {
	client, err := from.MarshalBinary()
	if err != nil || len(socket) > 255 || len(client) > 255 {
		return nil, false
	}
	message = make([]byte, 0, 3+len(socket)+len(client)+len(datagram))
	message = append(message, kindDatagram, byte(len(socket)))
	message = append(message, socket...)
	message = append(message, byte(len(client)))
	message = append(message, client...)
	message = append(message, datagram...)
	return message, len(message) <= maxMessage
}

// decodeDatagram is its inverse, without the kind. The payload is a part of message.
func decodeDatagram(message []byte) (socket string, from netip.AddrPort, datagram []byte, err error) {
	name, rest, ok := field(message)
	client, datagram, okClient := field(rest)
	if !ok || !okClient || from.UnmarshalBinary(client) != nil {
		return "", netip.AddrPort{}, nil, errBroken
	}
	return string(name), from, datagram, nil
}

// field takes what follows its length.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// encodeSockets is the message that says which sockets are read.
func encodeSockets(sockets []string) ([]byte, error) {
	list, err := json.Marshal(sockets)
	return append([]byte{kindSockets}, list...), err
}
