// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

import "sync/atomic"

// A client's order with randomize is rendezvous hashing: every member has a
// score for every client, and the client's order is by falling score. It
// depends on nothing but key and names, so it needs no memory, a lost member's
// clients spread over all the others, and a new one takes only its share.
//
// Clients fall into buckets and scores are per bucket, so that a long list
// needs to be scored only once for each. There are so many buckets that the
// spread is as even as with a score per client.
const (
	bucketBits = 21
	buckets    = 1 << bucketBits
)

// BucketOf is the bucket of a client. The key is mixed once more, so that also
// keys that are no hashes spread.
func BucketOf(key uint64) uint32 { return uint32(Mix(key) >> (64 - bucketBits)) }

// Score is the score of the member with that seed; base is ScoreBase of the bucket.
func Score(base, seed uint64) uint64 {
	x := (base ^ seed) * 0x9fb21c651e98df25
	x ^= x >> 28
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// ScoreBase is what the scores for one bucket have in common.
func ScoreBase(bucket uint32) uint64 { return Mix(uint64(bucket) + 1) }

// Winners has index+1 of each bucket's first member, 0 where it is not computed
// yet. Two are in one word, because memory is what a look-up costs.
type Winners []atomic.Uint32

// MaxMembers is how many members Winners can name.
const MaxMembers = 1<<16 - 2

// Get is the entry of a bucket.
func (w Winners) Get(bucket uint32) int {
	return int(w[bucket/2].Load() >> (bucket % 2 * 16) & 0xffff)
}

// Set writes an entry that is 0, or is already what it shall be.
func (w Winners) Set(bucket uint32, v int) {
	w[bucket/2].Or(uint32(v) << (bucket % 2 * 16))
}

// NewWinners has no entry yet.
func NewWinners() Winners { return make(Winners, buckets/2) }
