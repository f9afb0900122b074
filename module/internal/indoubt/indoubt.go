// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package indoubt

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Kept is how many requests in doubt are remembered.
const Kept = 1000

// MaxText is how many bytes of each text of such a request are remembered:
// clients and children choose them.
const MaxText = 2048

// Window is how long requests in doubt of one backend are gathered for one
// event.
const Window = time.Second

// RequestIDHeader is the field by which clients and servers name a request.
const RequestIDHeader = "X-Request-Id"

// Record is a request that may have been executed without an answer.
type Record struct {
	Time    time.Time `json:"time"`
	Pool    string    `json:"pool"`
	Backend string    `json:"backend"`
	Method  string    `json:"method"`
	Host    string    `json:"host"`
	// Path is without the query, which may hold secrets.
	Path string `json:"path"`
	// RequestID is the client's X-Request-Id, or the id that the error answer had there.
	RequestID string `json:"request_id"`
	// KeyHash is the SHA-256 of the Idempotency-Key in hex, "" without one.
	KeyHash string `json:"idempotency_key_sha256,omitempty"`
	// Reason is why it is in doubt, without any query.
	Reason string `json:"reason"`
}

// Bound cuts the texts, which clients and children choose, to MaxText, and takes out of
// them what cannot be seen.
func (d *Record) Bound() {
	for _, text := range []*string{&d.Pool, &d.Backend, &d.Method, &d.Host, &d.Path, &d.RequestID, &d.KeyHash, &d.Reason} {
		*text = plain.Line(*text, MaxText)
	}
}

// query is what follows a question mark in a text that may quote an URL.
var query = regexp.MustCompile(`\?[^\s"'<>]*`)

// HashKey is what a record has of an Idempotency-Key.
func HashKey(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Ledger remembers the last requests in doubt of all pools, and tells of
// them: one event for each backend, with their number.
type Ledger struct {
	mu      lockorder.Mutex[Ledger]
	ring    []Record
	next    int
	pending map[doubtKey]int
	watch   func(Record)
}

type doubtKey struct{ pool, backend string }

// Add remembers a record. Errors may quote URLs: no query of one is kept.
func (l *Ledger) Add(d Record) {
	d.Reason = query.ReplaceAllLiteralString(d.Reason, "")
	d.Bound()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < Kept {
		l.ring = append(l.ring, d)
	} else {
		l.ring[l.next] = d
	}
	l.next = (l.next + 1) % Kept
	if l.watch != nil {
		l.watch(d)
	}
}

// Has reports whether a request that is named as d is has been in doubt since then. One
// without an id is not known again.
func (l *Ledger) Has(d Record, since time.Time) bool {
	d.Bound()
	l.mu.Lock()
	defer l.mu.Unlock()
	return d.RequestID != "" && slices.ContainsFunc(l.ring, func(k Record) bool {
		return k.RequestID == d.RequestID && k.Method == d.Method && k.Host == d.Host && k.Path == d.Path && !k.Time.Before(since)
	})
}

// Gather counts a request for the event about its backend. first tells that this
// is due after Window.
func (l *Ledger) Gather(pool, backend string) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = make(map[doubtKey]int)
	}
	k := doubtKey{pool, backend}
	l.pending[k]++
	return l.pending[k] == 1
}

// Gathered is how many there were since the first one.
func (l *Ledger) Gathered(pool, backend string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := doubtKey{pool, backend}
	n := l.pending[k]
	delete(l.pending, k)
	return n
}

// List is what is remembered, oldest first.
func (l *Ledger) List() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < Kept {
		return slices.Clone(l.ring)
	}
	return append(slices.Clone(l.ring[l.next:]), l.ring[:l.next]...)
}

// Follow calls f for every record from now on, under a lock: f must not block.
func (l *Ledger) Follow(f func(Record)) {
	l.mu.Lock()
	l.watch = f
	l.mu.Unlock()
}
