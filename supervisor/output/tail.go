// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package output

import "sync"

// TailSize is how much of the end of a child's standard error is kept: enough for a Go
// panic with most of its goroutines.
const TailSize = 64 << 10

// MaxText bounds what is kept, in bytes: the beginning of
// a dump, a line about what is missing, and the end.
const MaxText = headSize + 64 + TailSize

// Tail keeps the last TailSize bytes written to it, and the beginning of a dump.
type Tail struct {
	mu   sync.Mutex
	ring []byte
	next int
	full bool
	head head
}

// Write keeps p; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head.write(p)
	if t.ring == nil {
		t.ring = make([]byte, TailSize)
	}
	n := len(p)
	if n > TailSize {
		p = p[n-TailSize:]
	}
	for len(p) > 0 {
		c := copy(t.ring[t.next:], p)
		p = p[c:]
		t.next += c
		if t.next == TailSize {
			t.next, t.full = 0, true
		}
	}
	return n, nil
}

// String is the beginning of a dump, if it is no longer part of the end, and the end.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.full {
		return string(t.ring[:t.next])
	}
	return t.head.before(TailSize) + string(t.ring[t.next:]) + string(t.ring[:t.next])
}

// Fault is what a dump says of the reason of the process's end, if it has written one.
func (t *Tail) Fault() (line, goroutine string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head.fault()
}
