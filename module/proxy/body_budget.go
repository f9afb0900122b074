// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "sync/atomic"

// requestShare is the part of a pool's budget that one request may use.
const requestShare = 8

// budget is the memory that a pool may spend on bodies kept for another attempt
// (max_cache_size).
type budget struct {
	max  atomic.Int64
	used atomic.Int64
}

// share is the most that one request may keep.
func (b *budget) share() int64 { return b.max.Load() / requestShare }

// allows reports whether one request may keep n bytes at all.
func (b *budget) allows(n int64) bool { return n <= b.share() }

// take reserves n bytes.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.max.Load() {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *budget) free(n int64) { b.used.Add(-n) }
