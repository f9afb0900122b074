// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// requestShare is the part of a pool's budget that one request may use.
	requestShare = 8
	// keptFor is how long a body is kept whatever else wants its bytes.
	keptFor = 10 * time.Second
)

// budget is the memory that a pool may spend on bodies kept for another attempt
// (max_cache_size). It is spent on what has arrived, never on what a client says it will
// send. Where it is used up, those give way who have the most: a body of the client
// with the most bytes for that of another one, a long one for a short one of the same
// client, and any one after keptFor. What gives way is sent on, and cannot be sent again.
type budget struct {
	max  atomic.Int64
	used atomic.Int64 // written under mu

	mu   lockorder.Mutex[budget] // taken while the mu of a body is held
	kept map[*requestBody]*holding
	by   map[uint32]int64 // bytes, by client; none has 0
}

// holding is what a body has of the budget.
type holding struct {
	client uint32
	bytes  int64
	since  time.Time
}

// share is the most that one request may keep.
func (b *budget) share() int64 { return b.max.Load() / requestShare }

// allows reports whether one request may keep n bytes at all.
func (b *budget) allows(n int64) bool { return n <= b.share() }

// take reserves n more bytes for a body, whose mu is held.
func (b *budget) take(rb *requestBody, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.kept[rb]
	if h == nil {
		h = &holding{client: rb.client, since: time.Now()}
	}
	for b.used.Load()+n > b.max.Load() {
		if !b.makeRoom(h, n) {
			return false
		}
	}
	if b.kept == nil {
		b.kept, b.by = make(map[*requestBody]*holding), make(map[uint32]int64)
	}
	b.kept[rb] = h
	h.bytes += n
	b.by[h.client] += n
	b.used.Add(n)
	return true
}

// makeRoom makes one body give way for n bytes of another one. b.mu is held.
func (b *budget) makeRoom(want *holding, n int64) bool {
	now := time.Now()
	unwilling := make(map[*requestBody]bool)
	for {
		var victim *requestBody
		var most *holding
		for rb, h := range b.kept {
			if h != want && !unwilling[rb] && b.yields(h, want, n, now) && (most == nil || b.before(h, most)) {
				victim, most = rb, h
			}
		}
		if victim == nil {
			return false
		}
		if victim.giveWay() {
			b.forget(victim)
			return true
		}
		unwilling[victim] = true
	}
}

// yields reports whether a body has to give way.
func (b *budget) yields(h, want *holding, n int64, now time.Time) bool {
	switch {
	case now.Sub(h.since) >= keptFor:
		return true
	case h.client == want.client:
		return h.bytes > want.bytes+n
	default:
		return b.by[h.client] > b.by[want.client]+n
	}
}

// before reports whether a body gives way before another one.
func (b *budget) before(h, o *holding) bool {
	if all, others := b.by[h.client], b.by[o.client]; all != others {
		return all > others
	}
	return h.bytes > o.bytes
}

// free gives back what a body has.
func (b *budget) free(rb *requestBody) {
	b.mu.Lock()
	b.forget(rb)
	b.mu.Unlock()
}

// forget takes a body out. b.mu is held.
func (b *budget) forget(rb *requestBody) {
	h := b.kept[rb]
	if h == nil {
		return
	}
	delete(b.kept, rb)
	b.used.Add(-h.bytes)
	if b.by[h.client] -= h.bytes; b.by[h.client] == 0 {
		delete(b.by, h.client)
	}
}
