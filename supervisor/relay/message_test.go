// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// long is a datagram with a long header: type is as version 1 has it.
func long(version uint32, kind byte, server, client, rest string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0xc0 | kind<<4}, version)
	b = append(append(b, byte(len(server))), server...)
	b = append(append(b, byte(len(client))), client...)
	return append(b, rest...)
}

func TestBegins(t *testing.T) {
	t.Parallel()
	const initial, zeroRTT, handshake = 0, 1, 2
	for name, c := range map[string]struct {
		datagram []byte
		want     bool
	}{
		"nothing":                   {nil, true},
		"no QUIC":                   {[]byte{0x00, 1, 2, 3, 4, 5}, true},
		"1-RTT":                     {[]byte{0x41, 1, 2, 3, 4, 5}, false},
		"first Initial":             {long(1, initial, "12345678", "abcd", "\x00rest"), true},
		"0-RTT":                     {long(1, zeroRTT, "12345678", "abcd", "rest"), true},
		"Initial after an answer":   {long(1, initial, "1234", "abcd", "\x00rest"), false},
		"Initial without own id":    {long(1, initial, "1234", "", "\x00rest"), false},
		"Initial after a Retry":     {long(1, initial, "1234", "abcd", "\x05tokenrest"), true},
		"Handshake":                 {long(1, handshake, "1234", "abcd", "\x40rest"), false},
		"version 2, first Initial":  {long(quicVersion2, 1, "12345678", "abcd", "\x00rest"), true},
		"version 2, Initial":        {long(quicVersion2, 1, "1234", "abcd", "\x00rest"), false},
		"version 2, after a Retry":  {long(quicVersion2, 1, "1234", "abcd", "\x05tokenrest"), true},
		"version 2, Handshake":      {long(quicVersion2, 3, "1234", "abcd", "\x40rest"), false},
		"unknown version":           {long(0x1a2a3a4a, 0, "12345678", "abcd", ""), true},
		"no length":                 {[]byte{0xc0, 0, 0, 0, 1}, true},
		"shorter than its own id":   {[]byte{0xc0, 0, 0, 0, 1, 4, 1, 2}, true},
		"shorter than the other id": {[]byte{0xe0, 0, 0, 0, 1, 1, 1, 9}, true},
		"Initial cut off":           {long(1, initial, "1234", "abcd", ""), true},
	} {
		if got := Begins(c.datagram); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestDatagramsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, client := range []string{"192.0.2.1:443", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:65535", "[fe80::1%eth0]:50000"} {
		from := netip.MustParseAddrPort(client)
		message, ok := encodeDatagram("udp/:443", from, []byte("payload"))
		if !ok || message[0] != kindDatagram {
			t.Fatalf("%s: %q, %t", client, message, ok)
		}
		socket, got, payload, err := decodeDatagram(message[1:])
		if err != nil || socket != "udp/:443" || got != from || string(payload) != "payload" {
			t.Errorf("%s: %s %s %q (%v)", client, socket, got, payload, err)
		}
	}
	from := netip.MustParseAddrPort("192.0.2.1:443")
	if _, ok := encodeDatagram(strings.Repeat("x", 256), from, nil); ok {
		t.Error("a name that is too long was encoded")
	}
	if _, ok := encodeDatagram("udp/:443", from, make([]byte, 65_507)); !ok {
		t.Error("the largest datagram was not encoded")
	}
}

// What another process sends ends in a datagram or an error, whatever it is.
func FuzzDatagram(f *testing.F) {
	message, _ := encodeDatagram("udp/:443", netip.MustParseAddrPort("[fe80::1%eth0]:50000"), []byte("payload"))
	f.Add(message[1:])
	f.Add([]byte{})
	f.Add([]byte{1, 'a', 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		Begins(data)
		socket, from, payload, err := decodeDatagram(data)
		if err != nil {
			return
		}
		again, ok := encodeDatagram(socket, from, payload)
		if !ok {
			t.Skip()
		}
		if socket2, from2, payload2, err := decodeDatagram(again[1:]); err != nil || socket2 != socket || from2 != from || !bytes.Equal(payload2, payload) {
			t.Errorf("%q became %s %s %q (%v)", data, socket2, from2, payload2, err)
		}
	})
}
