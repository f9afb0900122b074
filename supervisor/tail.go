// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"strings"
	"sync"
)

// tailSize is how much of the end of a child's standard error is kept: enough for a Go
// panic with most of its goroutines.
const tailSize = 64 << 10

// maxStderr bounds what is kept of a child's standard error, in bytes: the beginning of
// a dump, a line about what is missing, and the end.
const maxStderr = headSize + 64 + tailSize

// tail keeps the last tailSize bytes written to it, and the beginning of a dump.
type tail struct {
	mu   sync.Mutex
	ring []byte
	next int
	full bool
	head head
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head.write(p)
	if t.ring == nil {
		t.ring = make([]byte, tailSize)
	}
	n := len(p)
	if n > tailSize {
		p = p[n-tailSize:]
	}
	for len(p) > 0 {
		c := copy(t.ring[t.next:], p)
		p = p[c:]
		t.next += c
		if t.next == tailSize {
			t.next, t.full = 0, true
		}
	}
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.full {
		return string(t.ring[:t.next])
	}
	return t.head.before(tailSize) + string(t.ring[t.next:]) + string(t.ring[:t.next])
}

// fault is what a dump says of the reason of the process's end, if it has written one.
func (t *tail) fault() (line, goroutine string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head.fault()
}

// LastLines are the last n lines of text that are not empty, joined: what fits
// into an error message.
func LastLines(text string, n int) string {
	var out []string
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i >= 0 && len(out) < n; i-- {
		if l := strings.TrimSpace(lines[i]); l != "" {
			out = append([]string{l}, out...)
		}
	}
	return strings.Join(out, "\n")
}
