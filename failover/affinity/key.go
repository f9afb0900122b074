// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// KeyOf hashes an affinity key.
func KeyOf(s string) uint64 { return xxhash.Sum64String(s) }

// KeyOfAddr hashes a client address, IPv6 by its /64. An IPv4 address has the
// same key in both of its forms.
func KeyOfAddr(a netip.Addr) uint64 {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return Mix(uint64(binary.BigEndian.Uint32(b[:])) | 1<<32)
	}
	b := a.As16()
	return Mix(binary.BigEndian.Uint64(b[:8]) ^ 0x9e3779b97f4a7c15)
}

// Mix spreads the bits of x: every output bit depends on every input bit.
func Mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return x
}

// Spread maps a key evenly to 0…n-1.
func Spread(key uint64, n int) int {
	hi, _ := bits.Mul64(Mix(key), uint64(n))
	return int(hi)
}
