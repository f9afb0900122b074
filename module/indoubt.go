// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// keptDoubts is how many requests in doubt are remembered.
const keptDoubts = 1000

// maxDoubtText is how many bytes of each text of such a request are remembered:
// clients and children choose them.
const maxDoubtText = 2048

// doubtWindow is how long requests in doubt of one backend are gathered for one
// event.
const doubtWindow = time.Second

// doubtRecord is a request that may have been executed without an answer.
type doubtRecord struct {
	Time      time.Time `json:"time"`
	Pool      string    `json:"pool"`
	Backend   string    `json:"backend"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	RequestID string    `json:"request_id"`
	Reason    string    `json:"reason"`
}

// doubtLedger remembers the last requests in doubt of all pools, and tells of
// them: one event for each backend, with their number.
type doubtLedger struct {
	mu      sync.Mutex
	ring    []doubtRecord
	next    int
	pending map[doubtKey]int
	watch   func(doubtRecord)
}

type doubtKey struct{ pool, backend string }

// add remembers a record.
func (l *doubtLedger) add(d doubtRecord) {
	for _, text := range []*string{&d.Pool, &d.Backend, &d.Method, &d.Host, &d.Path, &d.RequestID, &d.Reason} {
		if len(*text) > maxDoubtText {
			*text = strings.ToValidUTF8((*text)[:maxDoubtText], "") + "..."
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < keptDoubts {
		l.ring = append(l.ring, d)
	} else {
		l.ring[l.next] = d
	}
	l.next = (l.next + 1) % keptDoubts
	if l.watch != nil {
		l.watch(d)
	}
}

// gather counts a request for the event about its backend. first tells that this
// is due after doubtWindow.
func (l *doubtLedger) gather(pool, backend string) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = make(map[doubtKey]int)
	}
	k := doubtKey{pool, backend}
	l.pending[k]++
	return l.pending[k] == 1
}

// gathered is how many there were since the first one.
func (l *doubtLedger) gathered(pool, backend string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := doubtKey{pool, backend}
	n := l.pending[k]
	delete(l.pending, k)
	return n
}

// list is what is remembered, oldest first.
func (l *doubtLedger) list() []doubtRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < keptDoubts {
		return slices.Clone(l.ring)
	}
	return append(slices.Clone(l.ring[l.next:]), l.ring[:l.next]...)
}

// follow calls f for every record from now on, under a lock: f must not block.
func (l *doubtLedger) follow(f func(doubtRecord)) {
	l.mu.Lock()
	l.watch = f
	l.mu.Unlock()
}
