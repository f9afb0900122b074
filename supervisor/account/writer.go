// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"sync/atomic"
	"unsafe"
)

// Writer is the child's side of its page. A nil Writer keeps no account.
type Writer struct {
	mem    []byte // keeps what follows alive
	header *header
	slots  *[Slots]slot
	free   [shards]freeList
	next   [Slots]atomic.Uint32 // of a slot in its list, plus one; 0 is none
}

// shards is how many lists the free slots are in, so that requests on different
// processors rarely meet at one.
const shards = 32

// freeList is a stack of free slots without a lock: the first one, plus one, and above it
// a number that every change counts up, so that a list which has become the same
// again is not taken for unchanged.
type freeList struct {
	head atomic.Uint64
	_    [56]byte // a list a cache line
}

// New makes a Writer whose page nobody else has: it is lost with this process.
func New() *Writer { return newWriter(make([]byte, Size)) }

// newWriter takes up a page of Size bytes, which is all zero.
func newWriter(mem []byte) *Writer {
	w := &Writer{mem: mem}
	w.header = (*header)(unsafe.Pointer(unsafe.SliceData(mem)))
	w.slots = (*[Slots]slot)(unsafe.Pointer(&mem[headerSize]))
	for i := Slots - 1; i >= 0; i-- { // the first slots first, so that few parts of the page are used
		w.give(uint32(i))
	}
	w.header.version, w.header.slotSize, w.header.slots = version, slotSize, Slots
	w.header.magic.Store(magic)
	return w
}

// take takes a free slot, from the given list if it has one. Which one is given does not
// matter, only that it is mostly another.
func (w *Writer) take(from uint32) (index uint32, ok bool) {
	for i := range uint32(shards) {
		l := &w.free[(from+i)%shards]
		for {
			head := l.head.Load()
			at := uint32(head)
			if at == 0 {
				break
			}
			if l.head.CompareAndSwap(head, (head>>32+1)<<32|uint64(w.next[at-1].Load())) {
				return at - 1, true
			}
		}
	}
	return 0, false
}

// give puts a slot back into its list.
func (w *Writer) give(index uint32) {
	l := &w.free[index%shards]
	for {
		head := l.head.Load()
		w.next[index].Store(uint32(head))
		if l.head.CompareAndSwap(head, (head>>32+1)<<32|uint64(index+1)) {
			return
		}
	}
}
