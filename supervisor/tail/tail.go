// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tail

import "sync"

// Size is how much of the end is kept, in bytes: enough for a Go panic with most of its
// goroutines.
const Size = 64 << 10

// MaxText bounds what is kept, in bytes: the beginning of a dump, a line about what is
// missing, and the end.
const MaxText = headSize + 64 + Size

// Tail keeps the last Size bytes written to it, and the beginning of a dump. The zero value
// is ready for use.
type Tail struct {
	mu   sync.Mutex
	ring []byte
	next int
	full bool
	head head
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head.write(p)
	if t.ring == nil {
		t.ring = make([]byte, Size)
	}
	n := len(p)
	if n > Size {
		p = p[n-Size:]
	}
	for len(p) > 0 {
		c := copy(t.ring[t.next:], p)
		p = p[c:]
		t.next += c
		if t.next == Size {
			t.next, t.full = 0, true
		}
	}
	return n, nil
}

// String is what is kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.full {
		return string(t.ring[:t.next])
	}
	return t.head.before(Size) + string(t.ring[t.next:]) + string(t.ring[:t.next])
}

// Fault is what a dump says of the reason of the process's end, if it has written one.
func (t *Tail) Fault() (line, goroutine string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head.fault()
}
