// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"math/rand/v2"
	"runtime"
	"unsafe"
)

// Begin is what is known of a request at its beginning.
type Begin struct {
	// Time is in nanoseconds since 1970.
	Time                   int64
	Method, Host, Path, ID string
	// Key is the SHA-256 of the Idempotency-Key; nil for none.
	Key *[32]byte
	// Unsafe says that the method may change something.
	Unsafe bool
	// Open says that something may execute the request that makes no marks.
	Open bool
}

// Entry is one request in progress. The zero value is one without an account, and so is
// every entry before Begin and after End: what is said of it then does nothing.
// Its marks may be made by any goroutine, apart from Begin, At and End, which
// belong to the request's own.
type Entry struct {
	w      *Writer
	slot   *slot
	index  uint32
	use    uint64 // of the slot: what is above its flags
	unsafe bool
}

// Begin takes room for a request and writes it down.
func (w *Writer) Begin(e *Entry, b *Begin) {
	if w == nil {
		return
	}
	e.w, e.unsafe = w, b.Unsafe
	index, ok := w.take(rand.Uint32())
	if !ok {
		e.more(1)
		return
	}
	s := &w.slots[index]
	e.index, e.slot = index, s
	e.use = s.state.Load()&^flags + 1<<flagBits
	s.state.Store(e.use | flagFilling)
	s.begun, s.keyLen = b.Time, 0
	s.poolLen, s.backendLen = 0, 0
	s.methodLen = put(s.method[:], b.Method)
	s.hostLen = put(s.host[:], b.Host)
	s.pathLen = put(s.path[:], b.Path)
	s.idLen = put(s.id[:], b.ID)
	if b.Key != nil {
		s.key, s.keyLen = *b.Key, uint16(len(s.key))
	}
	state := e.use | flagUsed
	if b.Unsafe {
		state |= flagUnsafe
	}
	if b.Open {
		state |= flagOpen
	}
	s.state.Store(state)
}

// Answered counts the request as answered with a status.
func (e *Entry) Answered(status int) {
	if e.w == nil {
		return
	}
	a := &e.w.header.answers[e.index%shards]
	a.all.Add(1)
	if status >= 500 {
		a.failed.Add(1)
	}
}

// longest is the longest length that is noted.
const longest = 1<<16 - 1

func put(room []byte, text string) uint16 {
	copy(room, text)
	return uint16(min(len(text), longest))
}

// more counts a request that has no slot.
func (e *Entry) more(n int32) {
	e.w.header.more.Add(n)
	if e.unsafe {
		e.w.header.moreUnsafe.Add(n)
	}
}

// End says that the request is over.
func (e *Entry) End() {
	switch {
	case e.w == nil:
	case e.slot == nil:
		e.more(-1)
	default:
		e.slot.state.Store(e.use)
		e.w.give(e.index)
	}
	e.w = nil
}

// Carried says that the request is carried by this pool, which marks it before it is
// written.
func (e *Entry) Carried(pool string) {
	e.At(pool, "")
	e.mark(0, flagOpen)
}

// At says where the request is about to be sent.
func (e *Entry) At(pool, backend string) {
	if e.w == nil || e.slot == nil {
		return
	}
	s := e.slot
	s.turn.Add(1)
	s.poolLen = put(s.pool[:], pool)
	s.backendLen = put(s.backend[:], backend)
	s.turn.Add(1)
}

// Written says that something of the request is about to be written to a backend.
func (e *Entry) Written() { e.mark(flagWritten, 0) }

// Unwritten says that all that was written is proven not to have been processed.
func (e *Entry) Unwritten() { e.mark(0, flagWritten) }

// Told says that the supervisor has heard of the request as in doubt.
func (e *Entry) Told() { e.mark(flagTold, 0) }

// Request is what is noted of the request now, if it has an entry.
func (e *Entry) Request() (Request, bool) {
	s := e.slot
	if s == nil || s.state.Load()&^flags != e.use || s.state.Load()&flagUsed == 0 {
		return Request{}, false
	}
	for {
		turn := s.turn.Load()
		r, _ := decode(unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize))
		if turn%2 == 0 && s.turn.Load() == turn {
			return r, s.state.Load()&^flags == e.use
		}
		runtime.Gosched()
	}
}

// mark changes flags, unless the slot is another request's by now.
func (e *Entry) mark(set, clear uint64) {
	if e.slot == nil {
		return
	}
	for {
		state := e.slot.state.Load()
		if state&^flags != e.use || state&flagUsed == 0 || state&set == set && state&clear == 0 {
			return
		}
		if e.slot.state.CompareAndSwap(state, state&^clear|set) {
			return
		}
	}
}
