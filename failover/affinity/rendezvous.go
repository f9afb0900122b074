// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

import "sync/atomic"

// Clients fall into buckets and scores are per bucket, so that a long list
// needs to be scored only once for each. There are so many buckets that the
// spread is as even as with a score per client.
const (
	bucketBits = 21
	buckets    = 1 << bucketBits
	// tableFrom is the list length from which the winners are remembered; to
	// score a shorter list takes no longer than to look them up.
	tableFrom = 48
	// maxNamed is how many members winners can name.
	maxNamed = 1<<16 - 2
)

// BucketOf is the bucket of a client. The key is mixed once more, so that also
// keys that are no hashes spread.
func BucketOf(key uint64) uint32 { return uint32(Mix(key) >> (64 - bucketBits)) }

// score is the score of the member with that seed; base is scoreBase of a bucket.
func score(base, seed uint64) uint64 {
	x := (base ^ seed) * 0x9fb21c651e98df25
	x ^= x >> 28
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

func scoreBase(bucket uint32) uint64 { return Mix(uint64(bucket) + 1) }

// Rendezvous is the order of a list of members for each client by rendezvous
// hashing: every member has a score for every client, and the client's order is by
// falling score. It depends on nothing but key and seeds, so it needs no memory, a
// lost member's clients spread over all the others, and a new one takes only its
// share.
type Rendezvous struct {
	seeds   []uint64
	winners winners // nil for short lists
}

// NewRendezvous makes the order of the members with these seeds, which are hashes of
// their names.
func NewRendezvous(seeds []uint64) Rendezvous {
	r := Rendezvous{seeds: seeds}
	if len(seeds) >= tableFrom && len(seeds) <= maxNamed {
		r.winners = make(winners, buckets/2)
	}
	return r
}

// First is the index of the first member for the clients in that bucket. There must
// be one.
func (r *Rendezvous) First(bucket uint32) int {
	if r.winners == nil {
		return r.winner(bucket)
	}
	if w := r.winners.get(bucket); w != 0 {
		return w - 1
	}
	i := r.winner(bucket)
	r.winners.set(bucket, i+1)
	return i
}

// winner is the index of the highest score.
func (r *Rendezvous) winner(bucket uint32) int {
	base, best, at := scoreBase(bucket), uint64(0), 0
	for i, seed := range r.seeds {
		if s := score(base, seed); s > best {
			best, at = s, i
		}
	}
	return at
}

// winners has index+1 of each bucket's first member, 0 where it is not computed
// yet. Two are in one word, because memory is what a look-up costs.
type winners []atomic.Uint32

func (w winners) get(bucket uint32) int {
	return int(w[bucket/2].Load() >> (bucket % 2 * 16) & 0xffff)
}

// set writes an entry that is 0, or is already what it shall be.
func (w winners) set(bucket uint32, v int) {
	w[bucket/2].Or(uint32(v) << (bucket % 2 * 16))
}

// hashWalk goes through the members in the order of one bucket.
type hashWalk struct {
	seeds []uint64
	base  uint64
	last  uint64 // score of the last one
	at    int    // its index; -1 before the first
	done  bool
}

// walk begins at the first member of the bucket's order.
func (r *Rendezvous) walk(bucket uint32) hashWalk {
	return hashWalk{seeds: r.seeds, base: scoreBase(bucket), at: -1}
}

// next returns the index of the next member for which may is true of that index, to
// which from is added for may; -1 when there is none left.
func (w *hashWalk) next(from int, may func(i int) bool) int {
	if w.done {
		return -1
	}
	// The highest score below the last one; among equal ones the list decides.
	best, at := uint64(0), -1
	for i, seed := range w.seeds {
		s := score(w.base, seed)
		if w.at >= 0 && (s > w.last || s == w.last && i <= w.at) {
			continue
		}
		if (at < 0 || s > best) && may(from+i) {
			best, at = s, i
		}
	}
	if at < 0 {
		w.done = true
		return -1
	}
	w.last, w.at = best, at
	return at
}
