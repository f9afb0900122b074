// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"sync/atomic"
	"unsafe"
)

// version is that of the layout: it grows with every change of what follows, but for what
// is added to the header, of which a page of an older program has none.
const version = 1

// magic is the beginning of a page that a child has taken up.
const magic = 0x7463_6361_726b_6263 // "cbkracct"

const (
	// Slots is how many requests in progress have an entry.
	Slots = 4096
	// slotSize is what each of them takes, and headerSize what comes before them.
	slotSize, headerSize = 1024, 4096
	// Size is the page's, in bytes. The system gives memory only to the part in use.
	Size = headerSize + Slots*slotSize
)

// header is at the beginning of the page. The child writes all of it, magic last.
type header struct {
	magic                    atomic.Uint64
	version, slotSize, slots uint32
	// Requests in progress that have no entry, and those of them that are unsafe.
	more, moreUnsafe atomic.Int32
	_                [36]byte
	answers          [shards]answers
}

// answers counts requests that were answered, and those of them with a status of 500 or
// above. There is one for each list of slots, on a cache line of its own.
type answers struct {
	all, failed atomic.Uint64
	_           [48]byte
}

// slot is the room of one entry. A text is in the first bytes of its room; its length
// is that of the whole, of which what has no room is missing.
type slot struct {
	state atomic.Uint64 // flags, and above them a number that each use of the slot changes
	begun int64         // nanoseconds since 1970
	// turn is odd while pool and backend are being written.
	turn                        atomic.Uint32
	methodLen, hostLen          uint16
	pathLen, idLen              uint16
	poolLen, backendLen, keyLen uint16
	key                         [32]byte // SHA-256 of the Idempotency-Key, if keyLen is not 0
	method                      [16]byte
	host, backend               [128]byte
	pool                        [96]byte
	id                          [200]byte
	path                        [384]byte
}

// A slot has its size on every system.
var (
	_ [slotSize - unsafe.Sizeof(slot{})]byte
	_ [unsafe.Sizeof(slot{}) - slotSize]byte
	_ [headerSize - unsafe.Sizeof(header{})]byte
)

// Flags of a slot. One without any is free.
const (
	flagFilling = 1 << iota // its texts are being written
	flagUsed
	flagUnsafe  // the method may change something
	flagOpen    // not known: something may execute it that makes no marks
	flagWritten // something of it may have been written to a backend
	flagTold    // the supervisor has heard of it as in doubt

	flagBits = 8
	flags    = 1<<flagBits - 1
)
